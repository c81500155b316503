"""The plots of these notebooks: each shows one table, and says in its title what is to be seen.

They have a background of their own, so they look the same in a light and in a dark notebook; what is red is also said
in words or numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.colors import LinearSegmentedColormap, to_rgba
from matplotlib.dates import DateFormatter, MinuteLocator, date2num
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from matplotlib_inline.backend_inline import set_matplotlib_formats

INK, FAINT, PAPER = "#1f2933", "#8592a0", "#fbfbf8"
RED, AMBER, GREEN, BLUE, GREY = "#c2410c", "#d9a21b", "#3f8f5f", "#3b6ea5", "#dfe3e8"
SEVERITIES = {"critical": "#9f1239", "high": "#e2622a", "medium": "#e3b341", "low": "#7fa3c7"}
PROPAGATIONS = {"shared": RED, "shared,slave": "#e39a6b", "slave": BLUE, "private": "#b9c3cd", "unbindable": FAINT}

set_matplotlib_formats("retina")  # type: ignore[no-untyped-call]
plt.rcParams.update({
    "axes.edgecolor": FAINT, "axes.facecolor": PAPER, "axes.labelcolor": INK, "axes.spines.right": False,
    "axes.spines.top": False, "axes.titlelocation": "left", "axes.titlepad": 12, "axes.titlesize": 12,
    "axes.titleweight": "bold", "figure.facecolor": PAPER, "font.size": 10, "legend.frameon": False,
    "text.color": INK, "xtick.color": INK, "xtick.major.size": 0, "ytick.color": INK, "ytick.major.size": 0,
    "savefig.bbox": "tight", "savefig.facecolor": PAPER, "savefig.pad_inches": 0.25,
})  # fmt: skip


def tiles(table: pd.DataFrame, states: Mapping[Any, tuple[str, str]], title: str) -> None:
    """A tile for each cell: *states* gives the word and the colour of each value."""
    axes = _grid(table, title)
    for row, values in enumerate(table.to_numpy()):
        for column, value in enumerate(values):
            word, colour = states[value]
            _tile(axes, row, column, colour, word)


def counts(table: pd.DataFrame, title: str, *, colour: str = BLUE, red: pd.DataFrame | None = None) -> None:
    """A tile for each number, the darker the larger; in red where *red*, of the same rows and columns, is true."""
    axes = _grid(table, title)
    most = max(table.max().max(), 1)
    shades = {name: LinearSegmentedColormap.from_list(name, ["#eef1f4", name]) for name in (colour, RED)}
    reds = np.zeros(table.shape, bool) if red is None else red.to_numpy()
    for row, values in enumerate(table.to_numpy()):
        for column, value in enumerate(values):
            shade = shades[RED if reds[row, column] else colour]
            shown = f"{value:,}" if value else "·"
            _tile(axes, row, column, shade(0.15 + 0.85 * value / most) if value else PAPER, shown)


def bars(table: pd.DataFrame, colours: Mapping[str, str], title: str, xlabel: str) -> None:
    """A horizontal bar for each row, made of its columns, with the sum at its end."""
    _, axes = plt.subplots(figsize=(9, 0.9 + 0.34 * len(table)))
    left = pd.Series(0, index=table.index)
    for name in table.columns:
        axes.barh(table.index.astype(str), table[name], left=left, color=colours[name], label=name, height=0.72)
        left = left + table[name]
    for row, total in enumerate(left):
        axes.annotate(f"{total:,}", (total, row), (5, 0), textcoords="offset points", va="center", color=INK)
    axes.invert_yaxis()
    axes.set_xlabel(xlabel)
    axes.spines["left"].set_visible(False)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(axis="x", color=GREY, linewidth=0.8)
    axes.set_axisbelow(True)
    _title(axes, title)
    if len(table.columns) > 1:
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1))


def lines(table: pd.DataFrame, title: str, ylabel: str, colours: Sequence[str] = (RED, BLUE, GREEN, AMBER)) -> None:
    """A line for each column, named at its end."""
    _, axes = plt.subplots(figsize=(6.5, 3.6))
    ends = table.iloc[-1].sort_values()
    gap = 0.07 * float(table.max().max())
    at = -gap
    heights = {}
    for name, value in ends.items():
        at = heights[name] = max(float(value), at + gap)
    for name, colour in zip(table.columns, [*colours, *[FAINT] * len(table.columns)], strict=False):
        axes.plot(range(len(table)), table[name], color=colour, marker="o", markersize=5, linewidth=2.2)
        text = f"{table[name].iloc[-1]:,}  {name}"
        axes.annotate(text, (len(table) - 1, heights[name]), (10, 0), textcoords="offset points", va="center",
                      color=colour, annotation_clip=False)  # fmt: skip
    axes.set_xticks(range(len(table)), [str(name) for name in table.index])
    axes.set_ylim(0, 1.12 * max(float(table.max().max()), *heights.values()))
    axes.set_ylabel(ylabel)
    axes.grid(axis="y", color=GREY, linewidth=0.8)
    _title(axes, title)


def _grid(table: pd.DataFrame, title: str) -> Any:
    """Empty axes with the names of the rows and columns, high and wide enough for them."""
    rows, columns = [str(name) for name in table.index], [str(name) for name in table.columns]
    slanted = len(columns) > 6
    longest = max(len(line) for name in columns for line in name.split("\n"))
    high = 0.19 + 0.17 * max(name.count("\n") + 1 for name in rows)
    wide = 0.82 if slanted else max(0.82, 0.35 + 0.075 * longest)
    figure, axes = plt.subplots(figsize=(wide * len(columns), high * len(rows)))
    figure.subplots_adjust(left=0, right=1, bottom=0, top=1)
    axes.set_xlim(-0.5, len(columns) - 0.5)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xticks(range(len(columns)), columns)
    if slanted:
        axes.set_xticklabels(columns, rotation=35, ha="left", rotation_mode="anchor")
    axes.set_yticks(range(len(rows)), rows)
    axes.xaxis.tick_top()
    for spine in axes.spines.values():
        spine.set_visible(False)
    _title(axes, title)
    return axes


def _title(axes: Any, title: str) -> None:
    """Above all, from where the names of the rows begin."""
    axes.figure.canvas.draw()
    left = axes.transAxes.inverted().transform((axes.get_tightbbox().x0, 0))[0]
    axes.set_title(title, x=left, pad=14)


def _tile(axes: Any, row: int, column: int, colour: Any, text: str) -> None:
    axes.add_patch(Rectangle((column - 0.47, row - 0.44), 0.94, 0.88, color=colour, linewidth=0))
    red, green, blue, _ = to_rgba(colour)
    dark = 0.299 * red + 0.587 * green + 0.114 * blue < 0.58
    axes.text(column, row, text, ha="center", va="center", fontsize=9, color="white" if dark else INK)


def timeline(events: pd.DataFrame, trouble: tuple[pd.Timestamp, pd.Timestamp], title: str) -> None:
    """A line for each namespace, a mark for each event, and what it reached; *trouble* is a span of time."""
    names = list(dict.fromkeys([*events.namespace, *(place.rpartition(":")[0] for place in reached(events))]))
    rows = {name: len(names) - number for number, name in enumerate(names)}
    _, axes = plt.subplots(figsize=(9, 1 + 0.55 * len(names)))
    since, until = (date2num(moment) for moment in trouble)  # type: ignore[no-untyped-call]
    axes.axvspan(since, until, color=RED, alpha=0.12, linewidth=0)
    for number, event in enumerate(events.to_dict("records")):
        time, kind, row = event["time"], str(event["kind"]), rows[event["namespace"]]
        colour = {"leak": AMBER, "mount": RED, "umount": GREEN}.get(kind, FAINT)
        for place in reached(events.iloc[number : number + 1]):
            there = rows[place.rpartition(":")[0]]
            axes.plot([time, time], [row, there], color=colour, linewidth=1.2)
            axes.plot(time, there, "o", color=PAPER, markeredgecolor=colour, markersize=8)
        axes.plot(time, row, "o", color=colour, markersize=9)
        # Names of neighbours do not meet.
        axes.annotate(kind, (time, row), xytext=(8, 6 if number % 2 else -16), textcoords="offset points", color=colour)
    axes.set_yticks(list(rows.values()), list(rows))
    axes.set_ylim(0.4, len(names) + 0.8)
    axes.xaxis.set_major_locator(MinuteLocator())  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_formatter(DateFormatter("%H:%M"))  # type: ignore[no-untyped-call]
    axes.margins(x=0.12)
    axes.set_title(title)
    plt.show()


def reached(events: pd.DataFrame) -> list[str]:
    """The places where events went beside, each once."""
    return list(dict.fromkeys(place for also in events.also.dropna() for place in str(also).split(", ") if place))
