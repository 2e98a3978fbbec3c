"""`nestbed conformance`: what it runs, how it reads the images' output, what it compares."""

import json

import pytest
import tiny
from nestbed_lib import boot, conformance, machine, qemu, unit_tests
from nestbed_lib.errors import NestbedError
from nestbed_lib.unit_tests import Entry, Point, Verdict

SUITE = """\
SVM test: first
PASS: bit 1 at 0x7fff00
SKIP: second (not supported)
SVM test: third one
FAIL: no luck
XFAIL: nor was any expected
"""
LIST = """\
[alone]
file = alone.flat
test_args = 'one two'

[not_built]
file = not_built.flat

[same]
file = alone.flat
test_args = "one two"

[figure]
file = figures.flat
test_args = cpuid
groups = vmexit nodefault
"""


def image_of(text: str, end: bytes = tiny.LEAVE_WELL) -> bytes:
    """An image that prints a text and ends."""
    return tiny.multiboot(tiny.say(text) + end)


@pytest.fixture(name="tree")
def tree_fixture(tmp_path):
    """Makes a tree of images, by their names, and maybe with a list."""

    def make(images, listing=None):
        for name, content in images.items():
            (tmp_path / name).write_bytes(content)
        if listing:
            (tmp_path / "unittests.cfg").write_text(listing)
        return tmp_path

    return make


def points(*texts):
    """Points from `VERDICT: text`."""
    return [Point(*text.split(": ", 1)) for text in texts]


def test_output_is_read_by_tests_and_assertions():
    first, second, third = unit_tests.parse(SUITE)
    assert (first.name, first.verdict) == ("first", Verdict.PASS)
    assert (second.name, second.verdict) == ("second", Verdict.SKIP)
    assert (third.name, third.verdict) == ("third one", Verdict.FAIL)
    assert third.points == points("FAIL: no luck", "XFAIL: nor was any expected")


def test_an_image_without_headings_is_one_test():
    (test,) = unit_tests.parse("PASS: a\nSUMMARY: 1 tests\n")
    assert test == unit_tests.Test("", points("PASS: a"))


def test_a_figure_counts_by_its_name():
    (test,) = unit_tests.parse("cpuid 1234\nipi (skipped)\ncr0 = 80010011\n")
    assert test.points == points("PASS: cpuid", "SKIP: ipi")


def test_a_heading_that_comes_twice_is_two_tests():
    names = [test.name for test in unit_tests.parse("SVM test: a\nSVM test: b\nSVM test: a\n")]
    assert names == ["a", "b", "a (2)"]


def test_numbers_may_differ_between_the_sides():
    native = points("PASS: page 0x1000", "PASS: page 0x2000", "PASS: exit 4e, wanted 4e")
    l2 = points("FAIL: page 0x2000", "PASS: exit 4f, wanted 4f", "PASS: page 0x9000")
    assert conformance.paired(native, l2) == [
        (native[0], l2[2]),
        (native[1], l2[0]),
        (native[2], l2[1]),
    ]


def differences(native: unit_tests.Test, l2: unit_tests.Test | None) -> list[tuple[str, str, str]]:
    """What the comparison finds."""
    found = conformance.test_differences(native, l2)
    return [(difference.text, difference.native, difference.l2) for difference in found]


def test_what_passes_natively_must_pass_as_l2():
    native = unit_tests.Test("t", points("PASS: a", "XFAIL: b", "PASS: c", "FAIL: d", "SKIP: e"))
    assert not differences(native, native)
    l2 = unit_tests.Test("t", points("FAIL: a", "SKIP: b", "PASS: d", "PASS: e"))
    assert differences(native, l2) == [
        ("a", "PASS", "FAIL"),
        ("b", "XFAIL", "SKIP"),
        ("c", "PASS", "missing"),
    ]


def test_a_test_that_passes_natively_must_not_fail_as_l2_in_something_new():
    native = unit_tests.Test("t", points("PASS: a"))
    l2 = unit_tests.Test("t", points("PASS: a", "FAIL: new"))
    assert differences(native, l2) == [("new", "pass", "fail")]
    native.points.append(Point("FAIL", "old"))
    assert not differences(native, l2)


def test_a_test_that_ends_natively_must_end_as_l2():
    native = unit_tests.Test("t", points("FAIL: a"))
    l2 = unit_tests.Test("t", points("FAIL: a"), Verdict.HUNG, "nothing was heard")
    assert differences(native, l2) == [("nothing was heard", "fail", "hung")]
    assert not differences(l2, l2)
    assert differences(unit_tests.Test("t", points("PASS: a")), None) == [
        ("a", "PASS", "missing"),
        ("", "pass", "missing"),
    ]


def test_what_is_skipped_natively_is_not_missed():
    native = unit_tests.Test("t", points("SKIP: a"))
    assert not differences(native, None)
    hung = unit_tests.Test("t", points("SKIP: a"), Verdict.HUNG, "nothing was heard")
    assert differences(native, hung) == [("nothing was heard", "skip", "hung")]


def test_what_fails_natively_when_it_runs_alone_is_unsteady():
    one = conformance.Difference("t", "late by 7", "PASS", "FAIL")
    whole = conformance.Difference("t", "some failure", "pass", "fail")
    passes = unit_tests.Test("t", points("PASS: late by 3"))
    fails = unit_tests.Test("t", points("FAIL: late by 9"))
    assert conformance.is_steady(one, passes) and conformance.is_steady(whole, passes)
    assert not conformance.is_steady(one, fails) and not conformance.is_steady(whole, fails)
    assert conformance.is_steady(one, None)
    assert not conformance.is_steady(one, unit_tests.Test("t", [], Verdict.ABORTED))


def test_the_words_that_leave_tests_out_fit_into_what_images_keep():
    assert unit_tests.left_out("-x", ["a b"], ["c"]) == "-x -a_b -c"
    many = [f"test_{number}" for number in range(1000)]
    words = unit_tests.left_out("", ["dead"], many)
    assert words.startswith("-dead -test_0") and len(words) <= unit_tests.WORDS_MAX


def test_a_tree_gives_its_listed_tests_and_its_other_images(tree):
    content = tiny.multiboot(tiny.LEAVE_WELL)
    names = ("alone.flat", "alone.elf", "figures.flat", "other.flat", "third.elf")
    root = tree({name: content for name in names}, LIST)
    entries = unit_tests.entries_of(root)
    assert entries == [
        Entry("alone", root / "alone.flat", "one two"),
        Entry("figure", root / "figures.flat", "cpuid", measures=True),
        Entry("other", root / "other.flat"),
        Entry("third", root / "third.elf"),
    ]
    assert unit_tests.choose(entries, ["th*", "other.flat"], []) == [entries[3], entries[2]]
    assert unit_tests.choose(entries, [], ["alone"]) == entries[1:]
    assert unit_tests.choose(entries, ["alone.flat words"], []) == [
        Entry("alone words", root / "alone.flat", "words")
    ]
    assert unit_tests.choose(entries, ["figures.flat invd"], []) == [
        Entry("figures invd", root / "figures.flat", "invd", measures=True)
    ]


def test_an_image_that_waits_for_ticks_gets_those_of_the_host(tmp_path):
    """On TCG, where a world switch takes the host as long as ten thousand instructions."""
    at, told = tmp_path / "figures.flat", "-icount"
    at.write_bytes(tiny.multiboot(tiny.LEAVE_WELL))
    commands = [
        qemu.Qemu().prepare(boot.Boot(at, "", steady=steady), tmp_path)
        for steady in (True, False)
    ]
    assert [told in command for command in commands] == [True, False]


def test_what_ends_natively_gets_more_time_as_l2():
    assert machine.Limits(1, 2, 3).times(6) == machine.Limits(6, 12, 18)


def test_the_same_on_both_sides_conforms(nestbed, tree, tmp_path):
    root = tree({"good.flat": image_of("PASS: a\r\nFAIL: b\r\nSUMMARY: 2 tests\r\n")})
    said = nestbed("conformance", root, "--results", tmp_path, "--serial", tmp_path / "serial")
    assert said.status == 0, said.out + said.err
    assert "1 runs; 1 assertions are good natively; 0 differences" in said.out
    (row,) = [json.loads(line) for line in (tmp_path / "conformance.jsonl").open()]
    assert row["entry"] == "good" and row["differences"] == []
    assert row["native"] == row["l2"] and row["native"]["verdict"] == "fail"
    assert (tmp_path / "serial" / "good-l2-0.txt").read_text().startswith("PASS: a\n")


def test_it_runs_at_a_depth(nestbed, tree, tmp_path):
    # Words for the inner one reach it: it refuses them.
    root = tree({"good.flat": image_of("PASS: a\r\n")})
    ways = ["--depth", 2, "--strategy", "2:vmcs=telepathy"]
    said = nestbed("conformance", root, "--results", tmp_path, *ways)
    assert said.status == 1 and "telepathy" in said.out + said.err


def test_a_difference_is_named_and_gives_a_status(nestbed, tree, tmp_path):
    # Natively CPUID leaf 0x40000000 tells nothing; as L2 EBX has the first letters of a name.
    # mov $0x40000000, %eax; cpuid; cmp $letters, %ebx; jne over
    letters = int.from_bytes(b"Nest", "little").to_bytes(4, "little")
    told = tiny.say("FAIL: a\r\n") + tiny.LEAVE_WELL
    ask = bytes.fromhex("b800000040" "0fa2" "81fb") + letters + bytes.fromhex("0f85")
    code = ask + len(told).to_bytes(4, "little") + told + tiny.say("PASS: a\r\n") + tiny.LEAVE_WELL
    root = tree({"differs.flat": tiny.multiboot(code)})
    said = nestbed("conformance", root, "--results", tmp_path)
    assert said.status == 1
    assert "differs: PASS natively, FAIL as L2: a" in said.err


def test_only_the_platform_is_run_on_request(nestbed, tree, tmp_path):
    root = tree({"good.flat": image_of("PASS: a\r\n"), "bad.flat": image_of("FAIL: a\r\n")})
    said = nestbed("conformance", root, "--native", "--results", tmp_path)
    assert said.status == 0
    assert "2 runs; 1 assertions are good natively." in said.out


@pytest.mark.parametrize(
    "text, end, verdict",
    [
        ("PASS: a\r\n", tiny.LEAVE_WELL, "pass"),
        ("SKIP: a\r\n", tiny.LEAVE_WELL, "skip"),
        ("Unhandled exception 6 #UD\r\n", tiny.LEAVE_WELL, "aborted"),
        ("PASS: a\r\n", tiny.TRIPLE_FAULT, "crashed"),
        ("PASS: a\r\n", tiny.SPIN, "hung"),
    ],
)
def test_how_a_run_ends_is_a_verdict(nestbed, tree, tmp_path, text, end, verdict):
    root = tree({"image.flat": image_of(text, end)})
    said = nestbed("conformance", root, "--silence", 3, "--results", tmp_path)
    (row,) = [json.loads(line) for line in (tmp_path / "conformance.jsonl").open()]
    assert (row["native"]["verdict"], row["l2"]["verdict"]) == (verdict, verdict)
    assert said.status == 0


@pytest.mark.parametrize(
    "images, arguments, words",
    [
        ({}, [], "has no images"),
        ({"a.flat": b"\0" * 100}, [], "no Multiboot header"),
        ({"a.flat": b"\x7fELF\x02"}, [], "64-bit ELF"),
        ({"a.flat": image_of("")}, ["b"], "has the name b"),
        ({"a.flat": image_of("")}, ["--leave-out", "a"], "No test is left"),
        ({"a.flat": image_of("")}, ["--jobs", "0"], "--jobs"),
        ({"a.flat": image_of("")}, ["--serial", "/dev/null/serial"], "cannot be made"),
        ({"a.flat": image_of(""), "unittests.cfg": b"no list"}, [], "is no list of tests"),
    ],
)
def test_bad_input_gets_one_sentence(nestbed, tree, images, arguments, words):
    assert words in nestbed("conformance", tree(images), *arguments).one_sentence()


def test_a_tree_that_is_not_there_is_refused(nestbed, tmp_path):
    assert "is not a directory" in nestbed("conformance", tmp_path / "none").one_sentence()


def test_a_binary_list_is_refused(tree):
    root = tree({"a.flat": image_of(""), "unittests.cfg": b"\xff\xfe"})
    with pytest.raises(NestbedError, match="is no list of tests"):
        unit_tests.entries_of(root)
