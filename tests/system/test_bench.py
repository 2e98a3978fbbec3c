"""The exit-cost experiment: exact figures, and how far below the others' they must be."""

import pytest
from nestbed_lib import baseline, results
from nestbed_lib.experiment import Experiment

EXPERIMENT = Experiment.load()
LIMITED = [reference for reference in EXPERIMENT.references if reference.at_most is not None]
FIELDS = set(
    "platform cpu_model commit level op profile vmcs merge ept tlb state n ticks_min ticks_median"
    " ticks_max hw_exits_per_op l1_vmreads_per_op l1_vmwrites_per_op l1_vmptrlds_per_op".split()
)

pytestmark = pytest.mark.xdist_group("bench")


@pytest.fixture(name="bench", scope="module")
def bench_fixture(tmp_path_factory, nestbed):
    """What the command said, and the directory with its results."""
    directory = tmp_path_factory.mktemp("results")
    return nestbed("bench", "--platform", "bochs", "--results", directory), directory


@pytest.fixture(name="rows", scope="module")
def rows_fixture(bench):
    """The measurements."""
    said, directory = bench
    assert said.status == 0, said.err
    return results.read_lines(directory / "run.jsonl")


def test_it_writes_a_table_and_pictures(bench):
    said, directory = bench
    assert said.status == 0, said.err
    for words in ("vmread_trapped", "touch", "KVM", "run.jsonl", "run.png"):
        assert words in said.out
    assert (directory / "run.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (directory / "run.svg").read_text()


def test_every_row_has_every_field(rows):
    for row in rows:
        assert FIELDS <= row.keys()


def test_every_way_and_profile_is_measured(rows):
    for ways in EXPERIMENT.combinations():
        for op in EXPERIMENT.ops[3]:
            assert results.find(rows, level=3, op=op, profile=EXPERIMENT.profile, **ways)
    for profile in EXPERIMENT.more_profiles:
        assert results.find(rows, level=3, op="cpuid", profile=profile)
    for op in EXPERIMENT.ops[2]:
        assert results.find(rows, level=2, op=op, profile=None)


@pytest.mark.parametrize(
    "reference", LIMITED, ids=lambda r: f"L{r.level}-{r.op}-{r.ways['vmcs']}"
)
def test_an_exit_costs_at_most(rows, reference):
    profile = EXPERIMENT.profile if reference.level == 3 else None
    wanted = {"level": reference.level, "op": reference.op, "state": "warm", **reference.ways}
    row = results.find(rows, profile=profile, **wanted)
    assert row["hw_exits_per_op"] == reference.exits
    assert row["ticks_min"] <= reference.at_most


def test_the_baseline_holds_exactly(rows):
    path = baseline.path_for("bochs", rows[0]["cpu_model"])
    assert baseline.compare(rows, EXPERIMENT, baseline.load(path)) == []
