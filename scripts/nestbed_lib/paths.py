"""Where things are in the tree, and how a guest image is named on the command line."""

import os
from pathlib import Path

from .errors import NestbedError

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("NESTBED_BUILD", ROOT / "build"))
RESULTS = ROOT / "results"
BASELINES = ROOT / "experiments" / "baselines"


def built(name: str) -> Path:
    """A file that `make` builds."""
    path = BUILD / name
    if not path.is_file():
        raise NestbedError(f"{path} does not exist: run `make` first.")
    return path


def image(name: str) -> Path:
    """An image by its path, or one of the project's guests by its name."""
    path = Path(name)
    if path.is_file():
        return path
    if path.is_dir():
        raise NestbedError(f"The image {name} is a directory: name a file.")
    guests = BUILD / "guests"
    guest = guests / f"{name}.elf"
    if guest.is_file():
        return guest
    known = ", ".join(sorted(p.stem for p in guests.glob("*.elf") if p.stem[-2:] != "64"))
    raise NestbedError(
        f"There is no image {name}: name a file or one of the built guests ({known or 'none'})."
    )
