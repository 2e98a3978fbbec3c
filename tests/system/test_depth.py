"""Nestbed in Nestbed: the guest says the same at every depth, and every Nestbed is heard."""

import json

import catalogue
import pytest
from catalogue import BOCHS, EPYC, PHENOM, RYZEN, TCG, case_name
from nestbed_lib import machine, paths
from nestbed_lib.boot import nestbed_boot

WORDS = "ops=cpuid,vmcall,touch n=3 cold=off"
DEPTHS = [(BOCHS, 2), (TCG, 4), (EPYC, 4), (RYZEN, 4), (PHENOM, 3)]
L1 = {"ev": "start", "depth": 1}
L2 = {"ev": "start", "depth": 2}


def line(depth: int, text: str) -> dict:
    """A line as the Nestbed at a depth writes it for its guest."""
    return {"ev": "line", "depth": depth, "text": text}


@pytest.mark.parametrize("place, depth", DEPTHS, ids=case_name)
def test_the_bench_runs_in_the_innermost(run_in, place, depth):
    words = tuple("stats=full" for _ in range(depth))
    boot = nestbed_boot(paths.image("bench"), WORDS, l1_words=words, memory=192)
    native = nestbed_boot(paths.image("bench"), WORDS, l1_words="native=on")
    outcome = run_in(place, boot)
    assert catalogue.tap(outcome) == catalogue.run(native, place)
    assert f'"level":{depth + 1},' in outcome.serial
    assert outcome.depths == list(range(1, depth + 1))
    for at in outcome.depths:
        names = {row["name"] for row in outcome.of_kind("exits", at)}
        assert "CPUID" in names
        assert len(outcome.of_kind("accesses", at)) == 1


def test_the_tool_prints_a_table_for_each_depth(nestbed):
    said = nestbed("run", "--platform", "tcg", "--depth", 4, "--append", WORDS, "--exits")
    assert said.status == 0, said.err
    assert "the outermost first" in said.err
    for depth in (1, 2, 3, 4):
        assert f"Exits that L{depth} saw" in said.err


@pytest.mark.parametrize("platform, depth", [("bochs", 2), ("tcg", 3)])
def test_a_guest_hypervisor_runs_in_the_innermost(nestbed, platform, depth):
    l3 = ["--l3", "bench", "--l3-append", f"{WORDS} tap=sub", "--append", "profile=kvm"]
    said = nestbed("run", "--platform", platform, "--depth", depth, *l3)
    assert said.status == 0, said.err
    assert f'"level":{depth + 2},' in said.out


def test_each_nestbed_has_its_own_ways(nestbed, tmp_path):
    file = tmp_path / "run.json"
    ways = "tlb=flush,2:merge=dirty"
    said = nestbed("run", "--depth", 2, "--append", WORDS, "--strategy", ways, "--json", file)
    assert said.status == 0, said.err
    log = json.loads(file.read_text())["log"]
    starts = [(e["tlb"], e["merge"]) for e in log if e["ev"] == "start"]
    assert starts == [("flush", "full"), ("vpid", "dirty")]


def test_an_inner_nestbed_that_refuses_is_heard(nestbed):
    said = nestbed("run", "--depth", 2, "--strategy", "2:vmcs=telepathy")
    assert "telepathy" in said.one_sentence()


def test_native_has_no_depth(nestbed):
    assert "--depth" in nestbed("run", "--native", "--depth", 2).one_sentence()


def test_events_are_unpacked_from_the_lines_around_them():
    deep = line(1, json.dumps(line(2, json.dumps(L2 | {"depth": 3}))))
    assert machine.innermost(deep) == {"ev": "start", "depth": 3}
    assert machine.innermost(L1) == L1


@pytest.mark.parametrize("text", [json.dumps(L1), "no JSON", "[]", '{"ev":"start"}'])
def test_a_guest_cannot_speak_as_the_nestbed_below(text):
    assert machine.innermost(line(1, text)) == line(1, text)
