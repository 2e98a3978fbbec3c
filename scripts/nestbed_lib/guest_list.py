"""The guests of guests/catalogue: what each runs, where, and which extension its image needs."""

import dataclasses
from pathlib import Path

from . import paths

VMX, SVM = EXTENSIONS = ("vmx", "svm")


@dataclasses.dataclass(frozen=True)
class Guest:
    """One line of the catalogue."""

    name: str
    image: str
    words: str
    platforms: str
    shows: str


def read() -> list[Guest]:
    """All guests of the catalogue."""
    lines = (paths.ROOT / "guests" / "catalogue").read_text().splitlines()
    rows = [line.split("|") for line in lines if line and not line.startswith("#")]
    guests = [Guest(*(cell.strip() for cell in row)) for row in rows]
    return [
        dataclasses.replace(guest, words="") if guest.words == "-" else guest for guest in guests
    ]


def extension_of(image: str) -> str | None:
    """The one extension that an image needs in all its lines; none when it runs with either."""
    lines = [guest for guest in read() if Path(guest.image).stem == Path(image).stem]
    needs = {guest.platforms.removeprefix("l2-") for guest in lines}
    return needs.pop() if len(needs) == 1 and needs <= set(EXTENSIONS) else None
