"""Where the tool writes: results and serial lines to standard output, the rest beside it."""

from rich.console import Console

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)
