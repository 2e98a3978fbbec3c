"""The nestbed command-line tool: starts machines, collects their lines, tables and plots."""
