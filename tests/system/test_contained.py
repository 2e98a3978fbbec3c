"""Guests that misbehave are contained, and what was printed before is kept."""

import re

import pytest
import tiny
from catalogue import BOCHS, TCG, case_name
from nestbed_lib import paths
from nestbed_lib.boot import nestbed_boot
from nestbed_lib.machine import End, Limits

BEFORE = "before\n"
MEMORY = 64
MIB = 1 << 20
SHORT = Limits(silence=3, silence_wall=60, total=300)
POINTER = re.compile(r"\b[er]ip\b", re.IGNORECASE)


@pytest.fixture(name="run_code", params=[BOCHS, TCG], ids=case_name)
def run_code_fixture(request, run_in, image):
    """Runs code as L2, with either extension."""

    def call(code: bytes, l1_words: str = "", cpus: int = 1, limits: Limits = SHORT):
        l2 = image(tiny.multiboot(tiny.say(BEFORE) + code))
        boot = nestbed_boot(l2, l1_words=l1_words, memory=MEMORY, cpus=cpus)
        return run_in(request.param, boot, limits)

    return call


def l1_range(run_code) -> tuple[int, int]:
    """Where L1 is in a machine of this size."""
    start = run_code(tiny.LEAVE_WELL).of_kind("start")[0]
    return start["memory_from"], start["memory_from"] + start["memory_taken"]


def test_l1_takes_at_most_32_mib_below_the_top(run_code):
    start, end = l1_range(run_code)
    assert end - start <= 32 * MIB
    assert end <= MEMORY * MIB


@pytest.mark.parametrize("where", ["first", "middle", "last"])
def test_l1s_memory_reads_as_absent(run_code, where):
    start, end = l1_range(run_code)
    address = {"first": start, "middle": (start + end) // 2, "last": end - 4}[where]
    outcome = run_code(tiny.leave_well_if_equal(address, 0xFFFFFFFF))
    assert outcome.end is End.GOOD and outcome.serial == BEFORE


def test_l1s_memory_cannot_be_written(run_code):
    start, end = l1_range(run_code)
    stores = b"".join(tiny.store(address, 0) for address in range(start, end, 256 * 1024))
    # After an exit the stores have left no trace either.
    outcome = run_code(stores + tiny.CPUID + tiny.leave_well_if_equal(start, 0xFFFFFFFF))
    assert outcome.end is End.GOOD and outcome.serial == BEFORE


def test_a_triple_fault_ends_the_run(run_code):
    outcome = run_code(tiny.TRIPLE_FAULT)
    assert outcome.end is End.BAD and outcome.serial == BEFORE
    assert {row["name"] for row in outcome.of_kind("exits")} & {"TRIPLE_FAULT", "SHUTDOWN"}


@pytest.mark.parametrize("code", [tiny.SPIN, tiny.HALT], ids=["spinning", "halted"])
def test_the_watchdog_ends_a_silent_guest_and_shows_its_last_exits(run_code, code):
    outcome = run_code(3 * tiny.CPUID + code)
    assert outcome.end is End.SILENT and outcome.serial == BEFORE
    last = outcome.of_kind("trace")[-3:]
    assert [event["name"] for event in last] == 3 * ["CPUID"]
    assert [event["rip"] - last[0]["rip"] for event in last] == [0, 2, 4]
    assert any(map(POINTER.search, outcome.state))


def test_the_tool_says_that_the_watchdog_ended_a_run(nestbed, image):
    l2 = image(tiny.multiboot(tiny.say(BEFORE) + tiny.CPUID + tiny.SPIN))
    said = nestbed("run", "--l2", l2, "--silence", "3")
    assert "watchdog" in said.one_sentence()
    assert said.out == BEFORE
    assert "Last exits" in said.err


def test_a_run_that_never_ends_is_ended(run, image):
    talk = tiny.say(".")
    again = b"\xe9" + (-len(talk) - 5).to_bytes(4, "little", signed=True)
    l2 = image(tiny.multiboot(talk + again))
    outcome = run(nestbed_boot(l2), Limits(silence=60, total=3))
    assert outcome.end is End.TOO_LONG and "...." in outcome.serial


@pytest.mark.parametrize("place, op", [(BOCHS, "vmread_trapped"), (TCG, "stgi_clgi")])
def test_without_nesting_l2_is_offered_no_extension(run_in, place, op):
    boot = nestbed_boot(paths.image("bench"), f"ops={op}", l1_words="nested=off")
    outcome = run_in(place, boot)
    assert outcome.end is End.BAD and f"'{op}' needs" in outcome.serial
