"""What the system tests share: the tool as a command, and machines of their own."""

import dataclasses
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from catalogue import Place
from nestbed_lib import bochs, boot, machine, paths

TOOL = paths.ROOT / "scripts" / "nestbed"
TOOL_SECONDS = 900
LIMITS = machine.Limits(silence=60, total=600)


@dataclasses.dataclass(frozen=True)
class Said:
    """What a command printed, and its status."""

    status: int
    out: str
    err: str

    def one_sentence(self) -> str:
        """The complaint of a command that must have refused: one line, without a traceback."""
        assert self.status != 0, self.out + self.err
        lines = [line for line in self.err.splitlines() if line.startswith("nestbed:")]
        assert len(lines) == 1, self.err
        assert "Traceback" not in self.err
        return lines[0]


@pytest.fixture(name="nestbed", scope="session")
def nestbed_fixture() -> Callable[..., Said]:
    """Runs scripts/nestbed with the arguments."""

    def call(*arguments: object) -> Said:
        done = subprocess.run(
            [sys.executable, TOOL, *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=TOOL_SECONDS,
            check=False,
        )
        return Said(done.returncode, done.stdout, done.stderr)

    return call


@pytest.fixture(name="run")
def run_fixture() -> Callable[..., machine.Outcome]:
    """Runs a machine on Bochs to its end; further arguments are Bochs's."""

    def call(what: boot.Boot, limits: machine.Limits = LIMITS, **options) -> machine.Outcome:
        return machine.run(bochs.Bochs(**options), what, limits=limits)

    return call


@pytest.fixture(name="run_in")
def run_in_fixture() -> Callable[..., machine.Outcome]:
    """Runs a machine to its end in one of the catalogue's places."""

    def call(place: Place, what: boot.Boot, limits: machine.Limits = LIMITS) -> machine.Outcome:
        return machine.run(place.platform, what, limits=limits)

    return call


@pytest.fixture(name="image")
def image_fixture(tmp_path: Path) -> Callable[[bytes], Path]:
    """Writes bytes as an image file."""

    def write(content: bytes, name: str = "image") -> Path:
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return write
