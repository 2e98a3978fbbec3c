"""Baselines: exact figures of a platform that repeats bit for bit; changed only on purpose."""

import datetime
import json
from pathlib import Path

from . import paths
from .errors import NestbedError
from .experiment import Experiment

KEY = ("level", "op", "state", "profile", "vmcs", "merge", "ept", "tlb")
TICKS = ("ticks_min", "ticks_median", "ticks_max")
COUNTS = ("hw_exits_per_op", "l1_vmreads_per_op", "l1_vmwrites_per_op", "l1_vmptrlds_per_op")
HEAD = ("history", "compiler")


def path_for(platform: str, cpu_model: str) -> Path:
    """The baseline of a platform."""
    return paths.BASELINES / f"{platform}-{cpu_model}.json"


def compiler() -> str:
    """What compiled L1: the first line of the build's stamp."""
    return paths.built("flags").read_text().partition("\n")[0]


def key_of(row: dict) -> str:
    """Which measurement a row is."""
    return " ".join(f"{name}={row[name]}" for name in KEY if row.get(name) is not None)


def figures(row: dict, experiment: Experiment) -> dict:
    """What must not change of a row."""
    names = COUNTS if row["op"] in experiment.counts_only else TICKS + COUNTS
    return {name: row[name] for name in names if name in row}


def compare(rows: list[dict], experiment: Experiment, content: dict) -> list[str]:
    """Every difference as a sentence. Instructions are compared when the compiler is the same."""
    same_compiler = content["compiler"] == compiler()
    faults = []
    expected = dict(content["rows"])
    for row in rows:
        key = key_of(row)
        before = expected.pop(key, None)
        if before is None:
            faults.append(f"{key}: is not in the baseline")
            continue
        for name, value in figures(row, experiment).items():
            if name in TICKS and not same_compiler:
                continue
            if before.get(name) != value:
                faults.append(f"{key}: {name} is {value}, was {before.get(name)}")
    faults += [f"{key}: was not measured" for key in expected]
    return faults


def load(path: Path) -> dict:
    """Reads a baseline."""
    try:
        return json.loads(path.read_text())
    except OSError as error:
        raise NestbedError(
            f'There is no baseline {path}: take one with make baseline REASON="...".'
        ) from error


def update(path: Path, rows: list[dict], experiment: Experiment, reason: str) -> None:
    """Replaces a baseline and records why."""
    history = load(path)["history"] if path.exists() else []
    history.append({"date": datetime.date.today().isoformat(), "reason": reason})
    content = {
        "history": history,
        "compiler": compiler(),
        "rows": {key_of(row): figures(row, experiment) for row in rows},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(one_line_a_row(content))


def one_line_a_row(content: dict) -> str:
    """JSON in which a changed figure is one changed line."""
    rows = ",\n".join(f" {json.dumps(k)}: {json.dumps(v)}" for k, v in content["rows"].items())
    head = ",\n".join(f"{json.dumps(key)}: {json.dumps(content[key])}" for key in HEAD)
    return f'{{\n{head},\n"rows": {{\n{rows}\n}}\n}}\n'
