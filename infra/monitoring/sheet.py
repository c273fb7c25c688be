"""A picture of a dashboard from what Prometheus answered: each panel by its type, where Grafana's grid has it."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from matplotlib.transforms import ScaledTranslation

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.axes import Axes

    from infra.monitoring.answers import Answered, Series
    from infra.monitoring.dashboards import Dashboard, Panel

__all__ = ["draw", "shown"]

#: Inches of a unit of the grid, and above it for the title.
ACROSS, DOWN, HEAD = 0.66, 0.5, 0.9
COLOURS = {"green": "#3d8b4d", "red": "#c4342d", "orange": "#d9822b", "blue": "#4477aa", "text": "#22303c"}
LINES = ("#4477aa", "#d9822b", "#3d8b4d", "#8860a8", "#c4342d", "#4ba3a8", "#9a7b4f", "#777777")
PAPER, CARD, EDGE, GREY = "#f2f4f6", "#ffffff", "#d7dce1", "#68737d"
MOST_STATS = 8
#: That a picture may reach back; a wider axis is one that has nothing to go by.
MOST_DAYS = 60.0


def draw(dashboard: Dashboard, answered: Sequence[Answered], path: Path) -> None:
    """Draw all panels into a PNG."""
    bottom = max(top + height for _, top, _, height in (one.panel.place for one in answered))
    width, height = 24 * ACROSS, bottom * DOWN + HEAD
    with mpl.rc_context({"font.family": "DejaVu Sans", "font.size": 9, "text.color": COLOURS["text"]}):
        figure = Figure(figsize=(width, height), facecolor=PAPER)
        FigureCanvasAgg(figure)
        figure.text(0.15 / width, 1 - 0.35 / height, dashboard.title, size=17, weight="bold", va="center")
        asked = f"{datetime.now(UTC):%Y-%m-%d %H:%M UTC}"
        figure.text(1 - 0.15 / width, 1 - 0.35 / height, asked, size=10, color=GREY, va="center", ha="right")
        for top, title in dashboard.rows.items():
            where = 1 - (HEAD + (top + 0.55) * DOWN) / height
            figure.text(0.15 / width, where, title, size=12, weight="bold", color=GREY, va="center")
        for one in answered:
            _draw(figure, one, width, height)
        figure.savefig(path, dpi=100)


def shown(value: float, unit: str, decimals: int | None = None) -> str:
    """A value as Grafana writes it in a unit."""
    if unit == "s":
        return _duration(value)
    if unit == "percentunit":
        return f"{value:.{1 if decimals is None else decimals}%}"
    suffix = " req/s" if unit == "reqps" else ""
    if decimals is None:
        decimals = 0 if float(value).is_integer() else 2
    return f"{value:,.{decimals}f}{suffix}"


def _duration(seconds: float) -> str:
    for size, name in ((86400, "days"), (3600, "hours"), (60, "mins"), (1, "s"), (1e-3, "ms")):
        if abs(seconds) >= size:
            return f"{seconds / size:.1f} {name}"
    return f"{seconds * 1e6:.0f} µs" if seconds else "0 s"


def _draw(figure: Figure, answered: Answered, width: float, height: float) -> None:
    left, top, wide, high = answered.panel.place
    x, y = left * ACROSS + 0.06, height - HEAD - (top + high) * DOWN + 0.06
    w, h = wide * ACROSS - 0.12, high * DOWN - 0.12
    card = FancyBboxPatch(
        (x / width, y / height), w / width, h / height, boxstyle="round,pad=0,rounding_size=0.003", fc=CARD, ec=EDGE,
        transform=figure.transFigure, zorder=-1,
    )  # fmt: skip
    figure.patches.append(card)
    figure.text((x + 0.12) / width, (y + h - 0.2) / height, answered.panel.title, size=10, weight="bold", va="center")
    room = (x + 0.12) / width, (y + 0.1) / height, (w - 0.24) / width, (h - 0.5) / height
    if not answered.series:
        axes = figure.add_axes(room)
        axes.axis("off")
        text = answered.error or "no data"
        axes.text(0.5, 0.5, text, ha="center", va="center", color=COLOURS["red"], size=12, wrap=True)
    elif answered.panel.kind == "timeseries":
        columns, rows = _legend_shape(answered, w)
        under = 0.35 + 0.19 * rows
        inset = (
            room[0] + 0.6 / width,
            room[1] + under / height,
            room[2] - 0.7 / width,
            room[3] - (under + 0.05) / height,
        )
        _lines(figure.add_axes(inset), answered, columns)
    else:
        axes = figure.add_axes(room)
        axes.axis("off")
        {"stat": _stat, "bargauge": _bars, "table": _table}[answered.panel.kind](axes, answered)


def _text(panel: Panel, value: float) -> str:
    defaults = panel.document["fieldConfig"]["defaults"]
    for mapping in defaults["mappings"]:
        if f"{value:g}" in mapping["options"]:
            return str(mapping["options"][f"{value:g}"]["text"])
    return shown(value, defaults["unit"], defaults.get("decimals"))


def _colour(panel: Panel, value: float) -> str:
    steps = panel.document["fieldConfig"]["defaults"]["thresholds"]["steps"]
    reached = [one["color"] for one in steps if one["value"] is None or value >= one["value"]]
    return COLOURS[reached[-1]]


def _stat(axes: Axes, answered: Answered) -> None:
    panel, series = answered.panel, answered.series[:MOST_STATS]
    only_names = panel.document["options"].get("textMode") == "name"
    for number, one in enumerate(series):
        x = (number + 0.5) / len(series)
        text = one.name if only_names else _text(panel, one.last)
        size = 22 if len(text) < 12 and len(series) <= 2 else 15
        alone = len(series) == 1 or only_names
        axes.text(x, 0.5 if alone else 0.62, text, ha="center", va="center", size=size, weight="bold",
                  color=_colour(panel, one.last))  # fmt: skip
        if not alone:
            axes.text(x, 0.2, one.name, ha="center", va="center", size=9, color=GREY)


def _bars(axes: Axes, answered: Answered) -> None:
    panel, series = answered.panel, sorted(answered.series, key=lambda one: -one.last)
    most = panel.document["fieldConfig"]["defaults"].get("max") or max(one.last for one in series) or 1
    names = max(len(one.name) for one in series)
    start = min(0.5, 0.03 + names * 0.085 / (panel.place[2] * ACROSS))
    axes.set(xlim=(0, 1), ylim=(len(series) - 0.5, -0.5))
    for number, one in enumerate(series):
        axes.text(start - 0.015, number, one.name, ha="right", va="center", size=9)
        room = 0.82 - start
        axes.barh(number, room, left=start, height=0.55, color="#eef1f4")
        axes.barh(number, room * one.last / most, left=start, height=0.55, color=_colour(panel, one.last))
        axes.text(0.84, number, _text(panel, one.last), va="center", size=9, weight="bold")


def _table(axes: Axes, answered: Answered) -> None:
    rename: dict[str, str] = answered.panel.document["transformations"][0]["options"]["renameByName"]
    rows = [[one.labels.get(label, "") for label in rename] for one in answered.series]
    lengths = [max(len(row[i]) for row in [list(rename.values()), *rows]) + 3 for i in range(len(rename))]
    starts = [sum(lengths[:i]) / sum(lengths) for i in range(len(lengths))]
    high = max(int((answered.panel.place[3] * DOWN - 0.6) / 0.26), 3)
    if len(rows) >= high:
        rows = [*rows[: high - 2], [f"and {len(rows) - high + 2} more", *[""] * (len(rename) - 1)]]
    axes.set(xlim=(0, 1), ylim=(high - 0.5, -0.5))
    for start, name in zip(starts, rename.values(), strict=True):
        axes.text(start, 0, name, va="center", size=9, color=GREY, weight="bold")
    for number, row in enumerate(rows, 1):
        for start, text in zip(starts, row, strict=True):
            axes.text(start, number, text, va="center", size=9)


def _legend_shape(answered: Answered, inches: float) -> tuple[int, int]:
    """Columns and rows that names of series take."""
    longest = max(len(one.name) for one in answered.series)
    columns = max(1, min(len(answered.series), int((inches - 0.6) / (longest * 0.075 + 0.5))))
    return columns, math.ceil(len(answered.series) / columns)


def _lines(axes: Axes, answered: Answered, columns: int) -> None:
    defaults = answered.panel.document["fieldConfig"]["defaults"]
    dashed = {one["matcher"]["options"] for one in answered.panel.document["fieldConfig"]["overrides"]}
    stepped = defaults["custom"]["lineInterpolation"] == "stepAfter"
    for number, one in enumerate(answered.series):
        times: Any = [datetime.fromtimestamp(at, UTC) for at, _ in one.points]
        look: dict[str, Any] = {"color": LINES[number % len(LINES)], "lw": 1.6}
        if one.name in dashed:
            look = {"color": COLOURS["red"], "lw": 1.2, "ls": (0, (5, 4))}
        # One point makes no line, and nobody would see that there is one.
        look["marker"] = "o" if len(times) == 1 else ""
        axes.plot(times, _values(one), label=one.name, drawstyle="steps-post" if stepped else "default", **look)
    axes.set_facecolor(CARD)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(EDGE)
    axes.grid(axis="y", color="#e7ebee")
    axes.tick_params(colors=GREY, length=0, labelsize=8)
    if axes.get_ylim()[0] > 0 or defaults.get("min") == 0:
        axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(lambda value, _: shown(value, defaults["unit"]))
    start, end = axes.get_xlim()
    if end - start > MOST_DAYS:  # what matplotlib makes of a single moment is years
        axes.set_xlim((start + end) / 2 - 1 / 48, (start + end) / 2 + 1 / 48)
    locator = AutoDateLocator(minticks=3, maxticks=7)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, tz=UTC, show_offset=False))  # type: ignore[no-untyped-call]
    axes.legend(loc="upper left", bbox_to_anchor=(0, 0), bbox_transform=_below(axes), ncols=columns, frameon=False,
                fontsize=8, borderaxespad=0, labelspacing=0.35, columnspacing=1.2)  # fmt: skip


def _below(axes: Axes) -> Any:
    """Where the legend begins: under the times, left of the axis."""
    figure = axes.get_figure()
    assert figure is not None
    return axes.transAxes + ScaledTranslation(-0.5, -0.28, figure.dpi_scale_trans)


def _values(series: Series) -> list[float]:
    return [value for _, value in series.points]
