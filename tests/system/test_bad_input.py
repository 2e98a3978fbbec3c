"""Bad input of every kind: one clear sentence and a non-zero status each."""

import pytest
import tiny


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--l2", "no-such-image"], "There is no image no-such-image"),
        (["--l2", "/"], "is a directory"),
        (["--l3", "no-such-image"], "There is no image no-such-image"),
        (["--module", "no-such-module"], "The module no-such-module does not exist"),
        (["--memory", "8"], "cannot be made"),
        (["--memory", "100000"], "cannot be made"),
        (["--cpus", "100"], "cannot be made"),
        (["--strategy", "shadow"], "not of the form NAME=WAY"),
        (["--strategy", "vmcs=shadow,vmcs=trap"], "is given as shadow and as trap"),
        (["--strategy", "2:vmcs=trap"], "2:vmcs=trap has no Nestbed"),
        (["--depth", "2", "--strategy", "0:vmcs=trap"], "0:vmcs=trap has no Nestbed"),
        (["--append", "x" * 10000], "longer than"),
        (["--json", "/no/such/directory/file"], "cannot be written"),
    ],
)
def test_the_tool_refuses(nestbed, arguments, words):
    assert words in nestbed("run", *arguments).one_sentence()


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["walk"],
        ["run", "--cpus", "none"],
        ["run", "--cpus", "0"],
        ["run", "--platform", "vax"],
        ["run", "--no-such-option"],
    ],
)
def test_the_command_line_is_checked(nestbed, arguments):
    said = nestbed(*arguments)
    assert said.status == 2
    assert said.err.startswith("usage: nestbed")
    assert "Traceback" not in said.err


def test_an_empty_image_is_refused(nestbed, image):
    assert "is empty" in nestbed("run", "--l2", image(b"")).one_sentence()


@pytest.mark.parametrize(
    "strategy, words",
    [
        ("vmcs=telepathy", "telepathy"),
        ("colour=blue", "colour"),
        ("vmcs.fields=minimal+NO_SUCH_FIELD,vmcs=shadow", "NO_SUCH_FIELD"),
    ],
)
def test_l1_refuses_unknown_ways(nestbed, strategy, words):
    assert words in nestbed("run", "--strategy", strategy).one_sentence()


@pytest.mark.parametrize("word", ["colour=blue", "stats=some", "memory=1", "cpus=0", "nested"])
def test_l1_refuses_unknown_words(nestbed, word):
    name = word.partition("=")[0]
    assert name in nestbed("run", "--l1-append", word).one_sentence()


@pytest.mark.parametrize(
    "content",
    [b"\0" * 4096, b"no image at all" * 512, tiny.multiboot(bytes(8192))[:4096]],
    ids=["zeros", "text", "cut"],
)
def test_l1_refuses_corrupt_images(nestbed, image, content):
    said = nestbed("run", "--l2", image(content))
    assert said.one_sentence()
    assert said.out == ""


def test_an_image_larger_than_memory_is_refused(nestbed, image):
    big = image(tiny.multiboot(tiny.LEAVE_WELL, extra_memory=256 << 20))
    assert nestbed("run", "--l2", big, "--memory", "64").one_sentence()


TCG = ["--platform", "tcg"]
EPYC = [*TCG, "--cpu", "EPYC,+svm,+npt"]
SKYLAKE = ["--platform", "bochs", "--cpu", "corei7_skylake_x"]


@pytest.mark.parametrize(
    "machine, way, words",
    [
        (TCG, "vmcs=trap", "vmcs= has no meaning here, since this CPU has SVM"),
        (TCG, "ept=nested-lazy", "ept= has no meaning here, since this CPU has SVM"),
        (TCG, "vls=virtual", "virtual VMLOAD and VMSAVE, which this CPU lacks"),
        (EPYC, "gif=virtual", "virtual global interrupt flag, which this CPU lacks"),
        (SKYLAKE, "vmcb=copy-all", "vmcb= has no meaning here, since this CPU has VMX"),
        (SKYLAKE, "npt=nested-lazy", "npt= has no meaning here, since this CPU has VMX"),
    ],
)
def test_a_way_that_the_cpu_lacks_is_refused(nestbed, machine, way, words):
    assert words in nestbed("run", *machine, "--strategy", way).one_sentence()


def test_a_cpu_with_neither_extension_is_named(nestbed):
    said = nestbed("run", *TCG, "--cpu", "EPYC,-svm")
    assert "neither VMX nor SVM" in said.one_sentence()


def test_emulated_platforms_cannot_be_named_too(nestbed):
    assert "--emulated" in nestbed("bench", "--emulated", *TCG).one_sentence()


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["bench", "--results", "/dev/null/results"], "cannot be made"),
        (["peer", "--n", "0"], "--n 1"),
    ],
)
def test_what_would_fail_in_the_end_fails_at_once(nestbed, arguments, words):
    assert words in nestbed(*arguments).one_sentence()


def test_a_baseline_needs_a_reason(nestbed):
    assert "REASON" in nestbed("bench", "--update-baseline", " ").one_sentence()
