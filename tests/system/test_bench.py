"""The exit-cost experiment: exact figures, and how far below the others' they must be."""

import pytest
from catalogue import BOCHS, TCG, case_name
from nestbed_lib import baseline, results

FIELDS = set(
    "platform cpu_model backend commit level op profile state n ticks_min ticks_median"
    " ticks_max".split()
)
PLACES = (BOCHS, TCG)
LIMITED = [
    (place, reference)
    for place in PLACES
    for reference in place.half.references.rows
    if reference.at_most is not None
]

pytestmark = pytest.mark.xdist_group("bench")


def limit_name(value) -> str:
    """A test case's name."""
    if hasattr(value, "op"):
        first_way = next(iter(value.ways.values()))
        return f"L{value.level}-{value.op}-{value.profile or 'single'}-{first_way}"
    return value.name


@pytest.fixture(name="bench", scope="module")
def bench_fixture(tmp_path_factory, nestbed):
    """What the command said, and the directory with its results."""
    directory = tmp_path_factory.mktemp("results")
    return nestbed("bench", "--emulated", "--results", directory), directory


@pytest.fixture(name="rows", scope="module")
def rows_fixture(bench):
    """The measurements."""
    said, directory = bench
    assert said.status == 0, said.err
    return results.read_lines(directory / "run.jsonl")


def rows_in(rows, place):
    """Those of one half."""
    return [row for row in rows if row["backend"] == place.extension]


def test_it_writes_a_table_and_pictures(bench):
    said, directory = bench
    assert said.status == 0, said.err
    for words in ("vmread_trapped", "stgi_clgi", "touch", "KVM", "run.jsonl", "run.png"):
        assert words in said.out
    for place in PLACES:
        for way in place.lacking:
            assert f"{way} is not measured" in said.out
    assert (directory / "run.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (directory / "run.svg").read_text()


@pytest.mark.parametrize("place", PLACES, ids=case_name)
def test_every_row_has_every_field(rows, place):
    fields = FIELDS | set(place.half.axes) | set(baseline.counts(place.half))
    for row in rows_in(rows, place):
        assert fields <= row.keys()


@pytest.mark.parametrize("place", PLACES, ids=case_name)
def test_every_way_and_profile_is_measured(rows, place):
    half, mine = place.half, rows_in(rows, place)
    for ways in half.combinations():
        for op in half.ops[3]:
            assert results.find(mine, level=3, op=op, profile=half.profile, **ways)
    for profile in half.more_profiles:
        assert results.find(mine, level=3, op="cpuid", profile=profile)
    for op in half.ops[2]:
        assert results.find(mine, level=2, op=op, profile=None)


@pytest.mark.parametrize("place, reference", LIMITED, ids=limit_name)
def test_an_exit_costs_at_most(rows, place, reference):
    wanted = {"level": reference.level, "op": reference.op, "state": "warm", **reference.ways}
    row = results.find(rows_in(rows, place), profile=reference.profile, **wanted)
    assert row["hw_exits_per_op"] <= reference.exits
    assert row["ticks_min"] <= reference.at_most


@pytest.mark.parametrize("place", PLACES, ids=case_name)
def test_the_baseline_holds_exactly(rows, place):
    mine = rows_in(rows, place)
    path = baseline.path_for(place.platform.name, mine[0]["cpu_model"])
    assert baseline.compare(mine, place.half, baseline.load(path)) == []
