"""From lines to rows, tables, baselines and traces: the tool's own logic, without machines."""

import struct

import pytest
from nestbed_lib import baseline, bench_table, experiment, machine, report, results, trace
from nestbed_lib.errors import NestbedError

VMX = experiment.load()["vmx"]
WAYS = {"vmcs": "shadow", "merge": "dirty", "ept": "nested-lazy", "tlb": "vpid"}
COMMON = {"platform": "bochs", "cpu_model": "model", "ticks": "instructions", "commit": "abc"}
RESULT = (
    '{"op":"cpuid","level":%d,"state":"warm","n":2,"ticks_min":70,"ticks_median":71,'
    '"ticks_mean":71.5,"ticks_max":73,"hw_exits_per_op":1,"l1_vmreads_per_op":2,'
    '"l1_vmwrites_per_op":1,"l1_vmptrlds_per_op":0}'
)
SERIAL = f"""1..1
# {RESULT % 2}
# {{"run":{{"profile":"kvm","vmcs":"trap","merge":"full","ept":"nested-lazy","tlb":"vpid"}}}}
    # {RESULT % 3}
    not ok 1 - cpuid warm
ok 1 - L3 ran to its end
"""


def rows() -> list[dict]:
    return results.parse(SERIAL, COMMON, WAYS)


def test_rows_carry_the_ways_they_ran_under():
    first, second = rows()
    assert (first["level"], first["profile"], first["vmcs"]) == (2, None, "shadow")
    assert (second["level"], second["profile"], second["vmcs"]) == (3, "kvm", "trap")
    assert second["merge"] == "full" and second["platform"] == "bochs"


def test_failed_points_are_found_in_subtests_too():
    assert results.failures(SERIAL) == ["not ok 1 - cpuid warm"]


def test_rows_survive_the_result_file(tmp_path):
    results.write_lines(tmp_path / "results" / "run.jsonl", rows())
    assert results.read_lines(tmp_path / "results" / "run.jsonl") == rows()


def test_the_table_leaves_out_ways_that_change_nothing():
    row = rows()[0]
    other = row | {"vmcs": "trap"}
    kept = bench_table.rows_of([row, other], VMX, 2, "cpuid")
    assert [name for name, _ in kept] == ["reference"]
    kept = bench_table.rows_of([row, other | {"ticks_max": 99}], VMX, 2, "cpuid")
    assert [name for name, _ in kept] == ["reference", "vmcs=trap"]


def test_a_fraction_shows_only_where_there_is_one():
    assert [bench_table.number(value) for value in (2, 2.0, 2.5, 1234.125)] == [
        "2",
        "2",
        "2.5",
        "1,234.125",
    ]


@pytest.fixture(name="taken")
def taken_fixture(tmp_path, monkeypatch):
    """A baseline of the rows."""
    monkeypatch.setattr(baseline, "compiler", lambda: "cc 1")
    path = tmp_path / "baseline.json"
    baseline.update(path, rows(), VMX, "first")
    return path


def test_a_baseline_accepts_what_it_was_made_from(taken):
    assert baseline.compare(rows(), VMX, baseline.load(taken)) == []


@pytest.mark.parametrize("name", baseline.TICKS + baseline.counts(VMX))
def test_a_baseline_tolerates_no_difference(taken, name):
    changed = rows()
    changed[1][name] += 1
    faults = baseline.compare(changed, VMX, baseline.load(taken))
    assert len(faults) == 1 and name in faults[0]


def test_a_baseline_misses_and_refuses_rows(taken):
    content = baseline.load(taken)
    assert "was not measured" in baseline.compare(rows()[:1], VMX, content)[0]
    more = [*rows(), rows()[0] | {"op": "other"}]
    assert "not in the baseline" in baseline.compare(more, VMX, content)[0]


def test_another_compiler_may_change_instructions_but_no_counts(taken, monkeypatch):
    monkeypatch.setattr(baseline, "compiler", lambda: "cc 2")
    changed = rows()
    changed[0]["ticks_min"] += 1
    content = baseline.load(taken)
    assert baseline.compare(changed, VMX, content) == []
    changed[0]["hw_exits_per_op"] += 1
    assert baseline.compare(changed, VMX, content)


def test_a_baseline_keeps_the_reasons_of_its_changes(taken):
    baseline.update(taken, rows(), VMX, "second")
    assert [entry["reason"] for entry in baseline.load(taken)["history"]] == ["first", "second"]


def test_a_missing_baseline_is_one_sentence(tmp_path):
    with pytest.raises(NestbedError, match="There is no baseline"):
        baseline.load(tmp_path / "none.json")


def dump_of(ring: bytes) -> str:
    """What Bochs's `xp /NNNwx` prints of these bytes."""
    words = struct.unpack(f"<{len(ring) // 4}I", ring)
    lines = ["[bochs]:"]
    for i in range(0, len(words), 4):
        shown = "\t".join(f"0x{word:08x}" for word in words[i : i + 4])
        lines.append(f"0x{0x7e00000 + 4 * i:016x} <bogus+{4 * i:8}>:\t{shown}")
    return "\n".join(lines) + "\n"


def ring_of(newest: int, entries: list[bytes]) -> bytes:
    """A ring; the newest entry's number is given."""
    header = trace.HEADER.pack(trace.MAGIC, newest * trace.ENTRY.size)
    unused = (trace.ENTRIES - len(entries)) * bytes(trace.ENTRY.size)
    return header + b"".join(entries) + unused


def test_the_ring_of_exits_is_read_oldest_first():
    entries = [trace.ENTRY.pack(0x400000 + i, 10) for i in range(trace.ENTRIES)]
    events = trace.from_ring(ring_of(7, entries), "vmx")
    assert [event["rip"] for event in events] == [0x400000 + (8 + i) % 32 for i in range(32)]
    assert {event["name"] for event in events} == {"CPUID"}


def test_the_ring_tells_exits_of_l3():
    entries = [trace.ENTRY.pack(0x1000, 10), trace.ENTRY.pack(0x2000, 10 | trace.LEVEL3)]
    events = trace.from_ring(ring_of(1, entries), "vmx")
    assert [event["level"] for event in events] == [2, 3]


def test_exits_of_svm_have_their_names():
    entries = [trace.ENTRY.pack(0x1000, 0x72), trace.ENTRY.pack(0x2000, 0x80 | trace.LEVEL3)]
    events = trace.from_ring(ring_of(1, entries), "svm")
    assert [event["name"] for event in events] == ["CPUID", "VMRUN"]


def test_a_ring_survives_the_dump_of_bochs():
    ring = ring_of(1, [trace.ENTRY.pack(0x1000, 10), trace.ENTRY.pack(0xFFFFFFFF80002000, 10)])
    dump = dump_of(ring)
    assert trace.ring_of_dump(dump) == ring
    assert trace.without_dump("rax: 0\n" + dump) == ["rax: 0", "[bochs]:"]


def test_unused_entries_and_foreign_memory_are_no_trace():
    assert trace.from_ring(ring_of(0, []), "vmx") == []
    assert trace.from_ring(bytes(trace.SIZE), "vmx") == []
    assert trace.from_ring(b"", "vmx") == []
    assert trace.ring_of_dump("") == b""


def test_the_exit_table_sums_over_cpus():
    exits = {"ev": "exits", "level": 2, "name": "CPUID", "by": "L1"}
    events = [
        exits | {"cpu": 0, "count": 3, "ticks_sum": 30, "ticks_min": 9, "ticks_max": 11},
        exits | {"cpu": 1, "count": 1, "ticks_sum": 20, "ticks_min": 20, "ticks_max": 20},
    ]
    outcome = machine.Outcome(machine.End.GOOD, 0, "", events, [], [], 1, 1)
    table = report.exit_table(outcome)
    cells = [list(column.cells)[0] for column in table.columns]
    assert cells == ["L2", "CPUID", "L1", "4", "100.00", "9", "12.5", "20"]
