"""Result rows: from the guests' lines to one object a measurement, as in results/run.jsonl."""

import json
import re
from pathlib import Path

from .errors import NestbedError

RESULT_LINE = re.compile(r"^\s*# (\{.*\})\s*$", re.MULTILINE)
FAILED_LINE = re.compile(r"^\s*(not ok .*|Bail out!.*)$", re.MULTILINE)


def parse(serial: str, common: dict, ways: dict) -> list[dict]:
    """Rows of one machine's serial output.

    `common` goes into every row. The ways and the profile are those that the guest hypervisor last
    said it runs; before that, `ways` and no profile.
    """
    run = {"profile": None, **ways}
    rows = []
    for line in RESULT_LINE.findall(serial):
        content = json.loads(line)
        if "run" in content:
            run = dict.fromkeys(ways) | content["run"]
        elif "op" in content:
            rows.append({**common, **run, **content})
    return rows


def failures(serial: str) -> list[str]:
    """The guests' test points that failed."""
    return FAILED_LINE.findall(serial)


def make_directory(path: Path) -> None:
    """Makes a directory for results; asked for before the machines run, it fails before them."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise NestbedError(f"The directory {path} cannot be made: {error.strerror}.") from error


def write_lines(path: Path, rows: list[dict]) -> None:
    """Writes one object a line."""
    make_directory(path.parent)
    try:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    except OSError as error:
        raise NestbedError(f"{path} cannot be written: {error.strerror}.") from error


def read_lines(path: Path) -> list[dict]:
    """Reads what write_lines() wrote."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def find(rows: list[dict], **wanted) -> dict | None:
    """The first row with these values."""
    for row in rows:
        if all(row.get(key) == value for key, value in wanted.items()):
            return row
    return None
