"""The exit-cost experiment as a picture: a dot for every operation, level and way of `vmcs`."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402  the backend must be chosen first
from matplotlib.ticker import FuncFormatter  # noqa: E402

from .experiment import Experiment  # noqa: E402
from .results import find  # noqa: E402

FORMATS = ("png", "svg")
DPI = 160
# Okabe and Ito's colours, which colour-blind people can tell apart.
SERIES = (
    (2, "shadow", "L2 (single level)", "#0072B2", "o"),
    (3, "shadow", "L3, VMCS shadowing", "#009E73", "s"),
    (3, "trap", "L3, VMREAD and VMWRITE trapped", "#D55E00", "D"),
)
OFFSETS = (-0.22, 0.0, 0.22)


def _rows_of(rows: list[dict], experiment: Experiment, level: int, vmcs: str) -> dict[str, dict]:
    """The warm measurements of one series by operation."""
    wanted = experiment.reference_ways | {"level": level, "vmcs": vmcs, "state": "warm"}
    profile = experiment.profile if level == 3 else None
    found = {op: find(rows, op=op, profile=profile, **wanted) for op in experiment.ops[level]}
    return {op: row for op, row in found.items() if row is not None}


def _exits_text(exits: float) -> str:
    """The figure beside a dot; a timer that rarely met an operation is not worth its digits."""
    return f"{exits:g}" if exits >= 0.1 or exits == 0 else "~0"


def _draw_series(axes, ops: list[str], series: dict[str, dict], offset: float, look: tuple) -> None:
    _, _, label, colour, marker = look
    at = [ops.index(op) + offset for op in series]
    medians = [row["ticks_median"] for row in series.values()]
    lows = [row["ticks_median"] - row["ticks_min"] for row in series.values()]
    highs = [row["ticks_max"] - row["ticks_median"] for row in series.values()]
    axes.errorbar(
        at,
        medians,
        yerr=[lows, highs],
        fmt=marker,
        color=colour,
        markersize=6,
        capsize=2,
        elinewidth=1,
        label=label,
        zorder=3,
    )
    for x, y, row in zip(at, medians, series.values()):
        if "hw_exits_per_op" in row:
            axes.annotate(
                _exits_text(row["hw_exits_per_op"]),
                (x, y),
                xytext=(0, 6),
                textcoords="offset points",
                ha="center",
                fontsize=7,
                color=colour,
            )


def _draw_references(axes, ops: list[str], drawn: list[tuple], experiment: Experiment) -> None:
    """Hollow marks where others measured the same."""
    labelled = False
    for offset, look, series in drawn:
        for op, row in series.items():
            for reference in experiment.references:
                if not reference.matches(row):
                    continue
                axes.plot(
                    ops.index(op) + offset,
                    reference.ticks,
                    look[4],
                    markerfacecolor="none",
                    markeredgecolor=look[3],
                    markersize=8,
                    label=None if labelled else f"{experiment.reference_name} (hollow)",
                    zorder=2,
                )
                labelled = True


def make(rows: list[dict], experiment: Experiment) -> plt.Figure:
    """Draws the figure."""
    first = rows[0]
    ops = experiment.ops[2]
    figure, axes = plt.subplots(figsize=(11, 5.6), layout="constrained")
    drawn = []
    for offset, look in zip(OFFSETS, SERIES):
        series = _rows_of(rows, experiment, look[0], look[1])
        if series:
            _draw_series(axes, ops, series, offset, look)
            drawn.append((offset, look, series))
    if first["platform"] == "bochs":
        _draw_references(axes, ops, drawn, experiment)
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.set_ylabel(f"{first['ticks']} of one operation (log scale)")
    axes.set_xticks(range(len(ops)), [op.replace("_", "\n", 1) for op in ops])
    for x in range(1, len(ops)):
        axes.axvline(x - 0.5, color="0.92", linewidth=1, zorder=0)
    axes.grid(axis="y", color="0.85", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(
        f"What an exit costs: Nestbed {first['commit']} on {first['platform']} "
        f"{first['cpu_model']}\nwarm; dot: median, bar: minimum to maximum, "
        "figure: hardware exits of one operation",
        fontsize=11,
    )
    axes.legend(frameon=False, ncols=2, fontsize=9)
    return figure


def write(rows: list[dict], experiment: Experiment, stem: Path) -> list[Path]:
    """Writes the picture in every format; the files."""
    figure = make(rows, experiment)
    files = [stem.with_suffix(f".{suffix}") for suffix in FORMATS]
    for file in files:
        figure.savefig(file, dpi=DPI)
    plt.close(figure)
    return files
