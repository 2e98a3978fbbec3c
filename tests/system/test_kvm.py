"""KVM as L0: Nestbed in QEMU with KVM, in Debian's Linux inside of TCG. `make test-kvm` runs it."""

import re

import pytest
from catalogue import LIMITS, Place, tap
from nestbed_lib import inside, machine, paths
from nestbed_lib.boot import nestbed_boot
from nestbed_lib.guest_list import SVM

pytestmark = pytest.mark.kvm

KVM = Place("kvm", SVM, inside.Inside())
POINT = re.compile(r"^(not )?ok \d+ - (.*)$", re.MULTILINE)
BENCH = "n=20 cold=off"


def run(image: str, words: str = "", l1_words: str = "", **guest) -> machine.Outcome:
    """Runs a machine with Nestbed as KVM's guest."""
    boot = nestbed_boot(paths.image(image), words, l1_words=l1_words, **guest)
    return machine.run(KVM.platform, boot, limits=LIMITS)


def passed(outcome: machine.Outcome) -> set[str]:
    """The test points that passed."""
    return {name for bad, name in POINT.findall(outcome.serial) if not bad}


def exits(outcome: machine.Outcome, level: int, name: str, by: str) -> int:
    """How often L1 counted an exit."""
    rows = outcome.of_kind("exits")
    wanted = {"level": level, "name": name, "by": by}
    return sum(row["count"] for row in rows if wanted.items() <= row.items())


def test_the_bench_is_l2():
    """What KVM's guest says natively, the guest of Nestbed says too, and L1's log arrives."""
    native = run("bench", BENCH, "native=on")
    nested = run("bench", BENCH)
    assert tap(nested) == tap(native)
    assert exits(nested, 2, "CPUID", "L1")


def test_the_bench_is_l3():
    """Three hypervisors over one another: KVM, Nestbed, hv."""
    guest = {"l3": paths.image("bench"), "l3_words": f"{BENCH} tap=sub"}
    outcome = run("hv", "profiles=minimal;kvm", **guest)
    tap(outcome)
    assert exits(outcome, 3, "CPUID", "L2")


@pytest.mark.parametrize("image", ["svm-insn", "svm-entry", "svm-exit", "svm-event"])
def test_a_guest_passes_what_it_passes_natively(image):
    """KVM does not do all that the manual says, and a guest may not survive that; as L2 of Nestbed
    it passes at least the points that it passes as KVM's guest."""
    native = passed(run(image, l1_words="native=on"))
    assert native
    nested = passed(run(image))
    assert not native - nested


def test_the_closed_gif_of_l2_holds_interrupts():
    """KVM does what this guest needs of it, so all of it passes, above all what waits for GIF."""
    tap(run("svm-insn"))
