"""Trees of kvm-unit-tests: which tests and images they have, and what their images print.

Only what the images and the tree's own list of tests say; nothing of kvm-unit-tests is in here.
"""

import collections
import configparser
import dataclasses
import enum
import fnmatch
import re
import struct
from pathlib import Path

from .errors import NestbedError

LIST = "unittests.cfg"
# The group of tests that run until a number of ticks has passed, and tell a figure.
MEASURING = "vmexit"
ELF_MAGIC = b"\x7fELF"
ELF_CLASS_32 = 1
MULTIBOOT_MAGIC = 0x1BADB002
MULTIBOOT_SEARCHED = 8192
# The images keep at most 1000 bytes of their command line.
WORDS_MAX = 900

POINT = re.compile(r"^(PASS|FAIL|SKIP|XFAIL|XPASS|KFAIL): (.*)$")
# Images that measure print names with figures; a figure is no verdict, that it is there is one.
MEASURED = re.compile(r"^(\w+) (\d+|\(skipped\))$")
HEADING = re.compile(r"^(?:SVM test|Test suite): (.+)$")
NOT_SUPPORTED = re.compile(r"^SKIP: (.+) \(not supported\)$")
GAVE_UP = re.compile(
    r"^(?:ABORT: .*|Unhandled (?:cpu )?exception .*|.*assert failed.*)$",
    re.MULTILINE | re.IGNORECASE,
)
NUMBER = re.compile(r"\b(0x)?[0-9a-fA-F]*\d[0-9a-fA-F]*\b")
GOOD = {"PASS", "XFAIL"}
BAD = {"FAIL", "XPASS"}
OTHER = {"KFAIL", "SKIP"}


@dataclasses.dataclass(frozen=True)
class Entry:
    """One thing to run: an image and its words, under a name."""

    name: str
    image: Path
    words: str = ""
    measures: bool = False  # it waits for ticks, whatever these are

    def matches(self, pattern: str) -> bool:
        """Whether somebody who names this pattern means this entry."""
        return any(fnmatch.fnmatchcase(name, pattern) for name in (self.name, self.image.name))


class Verdict(enum.Enum):
    """What came of a test."""

    PASS = "pass"
    FAIL = "fail"
    SKIP = "skip"
    ABORTED = "aborted"  # the image gave up: an assertion, or an exception it did not expect
    HUNG = "hung"
    CRASHED = "crashed"  # the machine ended without the image's doing
    MISSING = "missing"  # not run at all


@dataclasses.dataclass(frozen=True)
class Point:
    """One assertion as the image reports it."""

    verdict: str  # the image's word
    text: str

    @property
    def shape(self) -> str:
        """The text without its numbers, which may be addresses or times."""
        return NUMBER.sub("#", self.text)


@dataclasses.dataclass
class Test:
    """A test of an image: what stands under one heading, or everything if there are none."""

    name: str
    points: list[Point] = dataclasses.field(default_factory=list)
    broken: Verdict | None = None  # how the run ended in this test
    why: str = ""

    @property
    def verdict(self) -> Verdict:
        """The worst of it."""
        if self.broken:
            return self.broken
        if any(point.verdict in BAD for point in self.points):
            return Verdict.FAIL
        if self.points and all(point.verdict == "SKIP" for point in self.points):
            return Verdict.SKIP
        return Verdict.PASS

    def count(self, verdicts: set[str]) -> int:
        """How many assertions have one of these verdicts."""
        return sum(point.verdict in verdicts for point in self.points)

    def figures(self) -> dict:
        """For a result row."""
        counts = {word.lower(): self.count({word}) for word in sorted(GOOD | BAD | OTHER)}
        return {"verdict": self.verdict.value, "why": self.why, **counts}


@dataclasses.dataclass(frozen=True)
class Side:
    """What an entry did on one side, natively or as L2, by the tests' names."""

    tests: dict[str, Test]

    @property
    def verdict(self) -> Verdict:
        """The worst of its tests; skipped if all are."""
        verdicts = {test.verdict for test in self.tests.values()}
        for verdict in (Verdict.CRASHED, Verdict.HUNG, Verdict.ABORTED, Verdict.FAIL):
            if verdict in verdicts:
                return verdict
        return Verdict.PASS if Verdict.PASS in verdicts else Verdict.SKIP

    def count(self, verdicts: set[str]) -> int:
        """How many assertions have one of these verdicts."""
        return sum(test.count(verdicts) for test in self.tests.values())


def parse(serial: str) -> list[Test]:
    """The tests in an image's output, in order; what comes before the first heading is first."""
    tests = [Test("")]
    seen: collections.Counter = collections.Counter()

    def begin(name: str, *points: Point) -> None:
        seen[name] += 1
        tests.append(Test(f"{name} ({seen[name]})" if seen[name] > 1 else name, list(points)))

    for line in serial.splitlines():
        heading, skipped = HEADING.match(line), NOT_SUPPORTED.match(line)
        point, measured = POINT.match(line), MEASURED.match(line)
        if heading:
            begin(heading[1])
        elif skipped and len(tests) > 1:
            begin(skipped[1], Point("SKIP", "not supported"))
        elif point:
            tests[-1].points.append(Point(point[1], point[2]))
        elif measured:
            word = "PASS" if measured[2].isdigit() else "SKIP"
            tests[-1].points.append(Point(word, measured[1]))
    return tests if tests[0].points or len(tests) == 1 else tests[1:]


def word(test: str) -> str:
    """The word that makes an image run this test."""
    return test.replace(" ", "_")


def left_out(words: str, dead: list[str], done: list[str]) -> str:
    """Words that make an image run neither of these tests: `dead` surely, `done` as far as there
    is room; those are only run again."""
    for index, name in enumerate([*dead, *done]):
        more = f" -{word(name)}"
        if index >= len(dead) and len(words) + len(more) > WORDS_MAX:
            break
        words += more
    return words.strip()


def check_image(path: Path) -> None:
    """Refuses a file that Multiboot cannot load as kvm-unit-tests' images."""
    try:
        head = path.read_bytes()[:MULTIBOOT_SEARCHED]
    except OSError as error:
        raise NestbedError(f"The image {path} cannot be read: {error.strerror}.") from error
    if head[:4] == ELF_MAGIC and head[4:5] != bytes([ELF_CLASS_32]):
        raise NestbedError(f"The image {path} is a 64-bit ELF file: use the .flat file of it.")
    for at in range(0, len(head) - 11, 4):
        magic, flags, checksum = struct.unpack_from("<3I", head, at)
        if magic == MULTIBOOT_MAGIC and (magic + flags + checksum) & 0xFFFFFFFF == 0:
            return
    raise NestbedError(f"The image {path} has no Multiboot header: it is no kvm-unit-test.")


def _unquoted(text: str) -> str:
    text = text.strip()
    if len(text) >= 2 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1].strip()
    return text


def _listed(directory: Path) -> list[Entry]:
    """What the tree's own list says, without tests whose image was not built."""
    listing = directory / LIST
    if not listing.is_file():
        return []
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    try:
        parser.read_string(listing.read_text())
    except (configparser.Error, UnicodeDecodeError, OSError) as error:
        why = str(error).splitlines()[0]
        raise NestbedError(f"{listing} is no list of tests: {why}") from error
    entries = []
    for name, section in parser.items():
        image = directory / section.get("file", "")
        if image.is_file():
            words = _unquoted(section.get("test_args", ""))
            measures = MEASURING in section.get("groups", "").split()
            entries.append(Entry(name, image, words, measures))
    return entries


def _images(tree: Path) -> list[Path]:
    """All images; an .elf file only where there is no .flat file made from it."""
    flat = sorted(tree.rglob("*.flat"))
    stems = {path.with_suffix("") for path in flat}
    elf = sorted(tree.rglob("*.elf"))
    return flat + [path for path in elf if path.with_suffix("") not in stems]


def entries_of(tree: Path) -> list[Entry]:
    """Every test that the tree lists, and its other images; the same image with the same words is
    there once."""
    if not tree.is_dir():
        raise NestbedError(f"{tree} is not a directory: name a tree of built kvm-unit-tests.")
    try:
        images = _images(tree)
    except OSError as error:
        raise NestbedError(f"{tree} cannot be read: {error.strerror}.") from error
    if not images:
        raise NestbedError(f"{tree} has no images (*.flat, *.elf): build kvm-unit-tests there.")
    directories = sorted({image.parent for image in images})
    listed = [entry for directory in directories for entry in _listed(directory)]
    known = {entry.image for entry in listed}
    entries = listed + [Entry(image.stem, image) for image in images if image not in known]
    unique = {(entry.image, entry.words): entry for entry in reversed(entries)}
    return list(reversed(unique.values()))


def choose(entries: list[Entry], wanted: list[str], unwanted: list[str]) -> list[Entry]:
    """The entries that these arguments name, in their order; all if there are none."""
    chosen = []
    for argument in wanted or ["*"]:
        pattern, _, words = argument.partition(" ")
        found = [entry for entry in entries if entry.matches(pattern)]
        if not found:
            raise NestbedError(f"No test or image there has the name {pattern}.")
        if words:
            images = {entry.image: entry.measures for entry in found}
            found = [
                Entry(f"{image.stem} {words}", image, words, measures)
                for image, measures in images.items()
            ]
        chosen += [entry for entry in found if entry not in chosen]
    return [entry for entry in chosen if not any(map(entry.matches, unwanted))]
