"""Baselines: exact figures of a platform that repeats bit for bit; changed only on purpose."""

import datetime
import json
from pathlib import Path

from . import paths
from .errors import NestbedError
from .experiment import Half

KEY = ("level", "op", "state", "profile")  # and the ways
TICKS = ("ticks_min", "ticks_median", "ticks_max")
HEAD = ("history", "compiler")


def path_for(platform: str, cpu_model: str) -> Path:
    """The baseline of a platform."""
    return paths.BASELINES / f"{platform}-{cpu_model}.json"


def compiler() -> str:
    """What compiled L1: the first line of the build's stamp."""
    return paths.built("flags").read_text().partition("\n")[0]


def key_of(row: dict, half: Half) -> str:
    """Which measurement a row is."""
    names = (*KEY, *half.axes)
    return " ".join(f"{name}={row[name]}" for name in names if row.get(name) is not None)


def counts(half: Half) -> tuple[str, ...]:
    """What is counted of an operation, by its name in a row."""
    return ("hw_exits_per_op", *(f"l1_{name}_per_op" for name in half.counts))


def figures(row: dict, half: Half) -> dict:
    """What must not change of a row."""
    names = counts(half) if row["op"] in half.counts_only else TICKS + counts(half)
    return {name: row[name] for name in names if name in row}


def compare(rows: list[dict], half: Half, content: dict) -> list[str]:
    """Every difference as a sentence. Instructions are compared when the compiler is the same."""
    same_compiler = content["compiler"] == compiler()
    faults = []
    expected = dict(content["rows"])
    for row in rows:
        key = key_of(row, half)
        before = expected.pop(key, None)
        if before is None:
            faults.append(f"{key}: is not in the baseline")
            continue
        for name, value in figures(row, half).items():
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


def update(path: Path, rows: list[dict], half: Half, reason: str) -> None:
    """Replaces a baseline and records why."""
    history = load(path)["history"] if path.exists() else []
    history.append({"date": datetime.date.today().isoformat(), "reason": reason})
    content = {
        "history": history,
        "compiler": compiler(),
        "rows": {key_of(row, half): figures(row, half) for row in rows},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(one_line_a_row(content))


def one_line_a_row(content: dict) -> str:
    """JSON in which a changed figure is one changed line."""
    rows = ",\n".join(f" {json.dumps(k)}: {json.dumps(v)}" for k, v in content["rows"].items())
    head = ",\n".join(f"{json.dumps(key)}: {json.dumps(content[key])}" for key in HEAD)
    return f'{{\n{head},\n"rows": {{\n{rows}\n}}\n}}\n'
