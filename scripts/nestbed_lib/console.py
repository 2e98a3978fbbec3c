"""Where the tool writes: results and serial lines to standard output, the rest beside it."""

from rich.console import Console
from rich.markup import escape

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


def print_wide(what, width: int, where: Console = out) -> None:
    """Prints a table that needs this width, also where the terminal has less."""
    wide = Console(file=where.file, highlight=False, width=max(where.width, width))
    wide.print(what)


def complain(text: str, who: str = "nestbed") -> None:
    """One line about what is wrong."""
    err.print(f"[bold red]{who}:[/] {escape(text)}", soft_wrap=True)
