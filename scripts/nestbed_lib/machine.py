"""Runs one machine to its end: hands on its serial output, keeps L1's log, watches for silence."""

import dataclasses
import enum
import json
import os
import re
import resource
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from . import trace
from .boot import Boot

POLL_SECONDS = 0.02
ENDING = threading.Event()  # when it is set, machines that other threads follow are ended too
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")
COMPLAINTS_KEPT = 12
# Errors and panics of Bochs, which calls some exits errors; QEMU's are all it prints.
BOCHS_COMPLAINT = re.compile(r"^\d+[ep]\[(?!.*(EPT violation|SVM VMEXIT))")
# TCG says so of every feature that it lacks of a processor's model.
MODEL_WARNING = re.compile(r"warning: TCG doesn't support requested feature")
# kvm-unit-tests leave by the same port whether they passed or not; their last line tells.
UNIT_TESTS = re.compile(r"^SUMMARY: \d+ tests?(?P<bad>, \d+ unexpected failures?)?", re.MULTILINE)


class Platform(Protocol):
    """What a platform can do; Bochs and Qemu are such."""

    name: str
    cpu_model: str
    version: str

    def ticks(self, cpus: int) -> str:
        """What the guests' time-stamp counter counts on a machine of so many CPUs."""

    def environment(self) -> dict[str, str]:
        """What the process needs in its environment."""

    def prepare(self, boot: Boot, directory: Path) -> list[str]:
        """Fills `directory` and returns the command that starts the machine there."""

    def log_line(self, line: str) -> str:
        """A line of standard output without what the platform added."""

    def tsc_khz(self, cpus: int) -> int | None:
        """The frequency of the time-stamp counter, where it is known beforehand."""

    def ended_well(self, status: int, complaints: list[str]) -> bool:
        """Whether this process status, after these complaints, means that the guest did well."""

    def guest_left(self, status: int, complaints: list[str]) -> bool:
        """Whether they mean that the guest ended the machine on purpose, well or badly."""

    def interrogate(
        self, process: subprocess.Popen, directory: Path, trace_at: int | None
    ) -> tuple[list[str], bytes]:
        """Ends a silent machine; its state in words, and the memory at `trace_at`, as far as the
        platform can tell."""


@dataclasses.dataclass(frozen=True)
class Limits:
    """When the watchdog ends a run."""

    silence: float = 60  # seconds of the platform's CPU time without a line
    silence_wall: float = 600  # the same on the clock, for a platform that sleeps
    total: float = 3600  # seconds on the clock in all

    def times(self, patience: int) -> "Limits":
        """So many times as patient."""
        return Limits(*(patience * limit for limit in dataclasses.astuple(self)))


class End(enum.Enum):
    """How a machine ended."""

    GOOD = "good"
    BAD = "bad"
    SILENT = "silent"
    TOO_LONG = "too long"


@dataclasses.dataclass
class Outcome:
    """What came of one machine."""

    end: End
    status: int | None  # of the platform's process, unless the watchdog ended it
    serial: str
    events: list[dict]  # L1's log
    complaints: list[str]  # the last ones of the platform itself
    state: list[str]  # of a machine that the watchdog ended, where the platform can tell
    seconds: float
    cpu_seconds: float

    @property
    def good(self) -> bool:
        """Whether the guests ended well."""
        return self.end is End.GOOD

    def errors(self) -> list[str]:
        """The sentences in which L1 or the ROM said what is wrong."""
        return [e.get("text", "") for e in self.events if e.get("ev") in ("error", "panic")]

    def of_kind(self, kind: str, depth: int = 1) -> list[dict]:
        """Events of one kind; of the outermost Nestbed, or of one that runs in it."""
        return [e for e in self.events if e.get("ev") == kind and e.get("depth", 1) == depth]

    @property
    def depths(self) -> list[int]:
        """Of the Nestbeds that ran, one in the other."""
        return sorted({event["depth"] for event in self.events if event.get("ev") == "start"})


class Tail:
    """Reads what a growing file got since the last time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = None
        self.content = bytearray()

    def read(self) -> bytes:
        """New bytes; none while the file does not exist."""
        if self._file is None:
            if not self._path.exists():
                return b""
            self._file = open(self._path, "rb")
        new = self._file.read()
        self.content += new
        return new

    def close(self) -> None:
        """Closes the file; the content stays."""
        if self._file is not None:
            self._file.close()

    @property
    def text(self) -> str:
        """All of it."""
        return self.content.decode(errors="replace").replace("\r\n", "\n")


def _cpu_seconds(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS


def parse_events(platform: Platform, text: str) -> list[dict]:
    """L1's objects in a log channel; other lines are the platform's own."""
    events = []
    for line in text.splitlines():
        line = platform.log_line(line)
        if not line.startswith("{"):
            continue
        try:
            events.append(innermost(json.loads(line)))
        except json.JSONDecodeError:
            events.append({"ev": "garbled", "text": line})
    return events


def innermost(event: dict) -> dict:
    """The event of a Nestbed inside of another, which carries it as the text of a line.

    A guest may send such a text too, but not with the depth of a Nestbed around it.
    """
    while event.get("ev") == "line":
        try:
            inner = json.loads(event["text"])
        except json.JSONDecodeError:
            break
        if not isinstance(inner, dict) or inner.get("depth", 0) <= event["depth"]:
            break
        event = inner
    return event


class Watchdog:
    """Measures silence in the platform's own CPU time, so that a busy host does not count."""

    def __init__(self, limits: Limits, pid: int) -> None:
        self._limits = limits
        self._pid = pid
        self.start = time.monotonic()
        self.heard()

    def heard(self) -> None:
        """The machine said something."""
        self._wall = time.monotonic()
        self._cpu = _cpu_seconds(self._pid)

    def verdict(self) -> End | None:
        """Why the run must end now, if it must."""
        now = time.monotonic()
        if now - self.start > self._limits.total:
            return End.TOO_LONG
        silent = _cpu_seconds(self._pid) - self._cpu > self._limits.silence
        if silent or now - self._wall > self._limits.silence_wall:
            return End.SILENT
        return None


def _end_of(platform: Platform, status: int, serial: str, complaints: list[str]) -> End:
    verdicts = UNIT_TESTS.findall(serial)
    if verdicts:
        return End.BAD if verdicts[-1] else End.GOOD
    return End.GOOD if platform.ended_well(status, complaints) else End.BAD


def run(
    platform: Platform,
    boot: Boot,
    on_serial: Callable[[bytes], None] = lambda _: None,
    limits: Limits = Limits(),
) -> Outcome:
    """Starts the machine in a directory of its own and follows it until it ends."""
    with tempfile.TemporaryDirectory(prefix="nestbed-") as name:
        directory = Path(name)
        command = platform.prepare(boot, directory)
        with open(directory / "log.txt", "wb") as log, open(directory / "err.txt", "wb") as err:
            process = subprocess.Popen(
                command,
                cwd=directory,
                env=platform.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=err,
                start_new_session=True,
            )
        try:
            return _follow(platform, process, directory, on_serial, limits)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()


def _follow(
    platform: Platform,
    process: subprocess.Popen,
    directory: Path,
    on_serial: Callable[[bytes], None],
    limits: Limits,
) -> Outcome:
    serial, log = Tail(directory / "com1.txt"), Tail(directory / "log.txt")
    watchdog = Watchdog(limits, process.pid)
    cpu_before = _children_cpu_seconds()

    def listen() -> bool:
        said = serial.read()
        if said:
            on_serial(said)
        return bool(log.read() or said)

    end = None
    while end is None and process.poll() is None:
        if ENDING.is_set():
            raise KeyboardInterrupt
        if listen():
            watchdog.heard()
        else:
            end = watchdog.verdict()
            time.sleep(POLL_SECONDS)
    listen()
    events = parse_events(platform, log.text)
    complaints = _complaints(directory)
    state = []
    if end is None:
        end = _end_of(platform, process.returncode, serial.text, complaints)
    else:
        start = next((event for event in events if event.get("ev") == "start"), {})
        state, ring = platform.interrogate(process, directory, start.get("trace_at"))
        events += trace.from_ring(ring, start.get("backend", ""))
    serial.close()
    log.close()
    return Outcome(
        end=end,
        status=process.returncode,
        serial=serial.text,
        events=events,
        complaints=complaints,
        state=state,
        seconds=time.monotonic() - watchdog.start,
        cpu_seconds=_children_cpu_seconds() - cpu_before,
    )


def _children_cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _complaints(directory: Path) -> list[str]:
    """What Bochs logged as an error, or QEMU printed."""
    bochs, other = directory / "bochs.log", directory / "err.txt"
    if bochs.exists():
        lines = bochs.read_text(errors="replace").splitlines()
        lines = [line for line in lines if BOCHS_COMPLAINT.match(line)]
    else:
        lines = other.read_text(errors="replace").splitlines()
        lines = [line for line in lines if not MODEL_WARNING.search(line)]
    return lines[-COMPLAINTS_KEPT:]
