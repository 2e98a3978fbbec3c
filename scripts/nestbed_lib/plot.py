"""The exit-cost experiment as a picture: a panel for each half, a dot for each operation of each of
its series."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402  the backend must be chosen first
from matplotlib.ticker import FuncFormatter  # noqa: E402

from .bench_table import Measured  # noqa: E402
from .experiment import Half, Series  # noqa: E402
from .results import find  # noqa: E402

FORMATS = ("png", "svg")
DPI = 160
WIDTH, HEIGHT = 11, 4.6  # of a panel, in inches
# Okabe and Ito's colours, which colour-blind people can tell apart.
LOOKS = (("#0072B2", "o"), ("#009E73", "s"), ("#D55E00", "D"))
LEGEND_ROOM = 6  # a factor: the scale is logarithmic
SPREAD = 0.22  # between the series of one operation


def _rows_of(rows: list[dict], half: Half, series: Series) -> dict[str, dict]:
    """The warm measurements of one series by operation."""
    wanted = series.ways | {"level": series.level, "profile": series.profile, "state": "warm"}
    found = {op: find(rows, op=op, **wanted) for op in half.ops[series.level]}
    return {op: row for op, row in found.items() if row is not None}


def _exits_text(exits: float) -> str:
    """The figure beside a dot; a timer that rarely met an operation is not worth its digits."""
    return f"{exits:g}" if exits >= 0.1 or exits == 0 else "~0"


def _draw_series(axes, at: list[float], rows: list[dict], look: tuple, label: str) -> None:
    """A dot for each row, with the hardware exits above it."""
    colour, marker = look
    medians = [row["ticks_median"] for row in rows]
    lows = [row["ticks_median"] - row["ticks_min"] for row in rows]
    highs = [row["ticks_max"] - row["ticks_median"] for row in rows]
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
    for x, y, row in zip(at, medians, rows):
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


def _draw_references(axes, at: list[float], rows: list[dict], look: tuple, half: Half) -> None:
    """Hollow marks where others measured the same, with a tail over what went into lengths."""
    colour, marker = look
    for x, row in zip(at, rows):
        reference = half.references.find(row)
        if reference is None:
            continue
        less = reference.ticks - half.references.ticks_for_lengths(reference)
        axes.plot([x, x], [less, reference.ticks], color=colour, linewidth=1, zorder=1)
        axes.plot(
            x,
            reference.ticks,
            marker,
            markerfacecolor="white",
            markeredgecolor=colour,
            markersize=8,
            zorder=2,
        )


def _explain_references(axes, half: Half) -> None:
    """Hollow marks in the legend."""
    text = f"{half.references.name} (hollow)"
    if half.references.length_ticks:
        text += "; tail: what finding lengths costs it without NRIPS"
    axes.plot(
        [], [], "o", markerfacecolor="white", markeredgecolor="0.3", markersize=8, label=text
    )


def _draw_half(axes, part: Measured) -> None:
    half, ops = part.half, part.half.ops[2]
    middle = (len(half.series) - 1) / 2
    for index, series in enumerate(half.series):
        found = _rows_of(part.rows, half, series)
        at = [ops.index(op) + (index - middle) * SPREAD for op in found]
        look = LOOKS[index % len(LOOKS)]
        _draw_series(axes, at, list(found.values()), look, series.label)
        _draw_references(axes, at, list(found.values()), look, half)
    if part.rows[0]["platform"] == half.references.platform:
        _explain_references(axes, half)
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.set_ylabel(f"{part.rows[0]['ticks']} (log scale)")
    axes.set_xticks(range(len(ops)), [op.replace("_", "\n", 1) for op in ops], fontsize=9)
    axes.set_xlim(-0.5, len(ops) - 0.5)
    for x in range(1, len(ops)):
        axes.axvline(x - 0.5, color="0.92", linewidth=1, zorder=0)
    axes.grid(axis="y", color="0.85", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(part.where, loc="left", fontsize=11, fontweight="bold")
    axes.legend(ncols=2, fontsize=9, loc="upper right", framealpha=1, edgecolor="none")


def make(measured: list[Measured]) -> plt.Figure:
    """Draws the figure."""
    first = measured[0].rows[0]
    figure, panels = plt.subplots(
        len(measured),
        figsize=(WIDTH, HEIGHT * len(measured)),
        layout="constrained",
        sharey=True,
        squeeze=False,
    )
    for axes, part in zip(panels[:, 0], measured):
        _draw_half(axes, part)
    bottom, top = panels[0, 0].get_ylim()
    panels[0, 0].set_ylim(bottom, top * LEGEND_ROOM)
    figure.suptitle(
        f"What an exit costs: {first['ticks']} of one operation, Nestbed {first['commit']}\n"
        "warm; dot: median, bar: minimum to maximum, figure: hardware exits of one operation",
        fontsize=11,
    )
    return figure


def write(measured: list[Measured], stem: Path) -> list[Path]:
    """Writes the picture in every format; the files."""
    figure = make(measured)
    files = [stem.with_suffix(f".{suffix}") for suffix in FORMATS]
    for file in files:
        figure.savefig(file, dpi=DPI)
    plt.close(figure)
    return files
