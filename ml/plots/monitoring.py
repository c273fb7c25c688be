"""Figures of the monitor: what was answered and asked lately, beside what the model was made from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator, PercentFormatter

from ml.coarse import coarse_measure, coarse_probabilities
from ml.plots import style

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

__all__ = ["answers_figure", "inputs_figure"]

BEFORE, NOW = "#9aa5b1", style.WRONG
_BINS = 24
_UNITS = {"brightness": "mean grey level", "contrast": "standard deviation of grey levels", "bytes": "bytes"}
_UNITS |= {"sharpness": "variance of the Laplacian", "width": "pixels", "height": "pixels"}


@style.styled
def answers_figure(classes: Sequence[str], before: NDArray[np.floating], now: NDArray[np.floating]) -> Figure:
    """Shares of the predicted classes, and how sure the answers are.

    Args:
        classes: C names.
        before: probabilities on the test images, [N, C].
        now: of the logged answers, [M, C].
    """
    rows = max(len(classes), 3)
    figure = style.new_figure(
        11,
        1.6 + 0.5 * rows,
        "What was answered",
        f"{len(now):,} logged answers beside those to {len(before):,} test images",
    )
    left, right = figure.subplots(1, 2, width_ratios=(1.1, 1))
    _class_bars(left, classes, before, now)
    edges = np.linspace(1 / len(classes), 1, _BINS + 1)
    # Logged ones may be coarse, and would lie in other bins than exact ones.
    _histogram(right, coarse_probabilities(before.max(axis=1)), coarse_probabilities(now.max(axis=1)), edges)
    right.set_title("Probability of the answer")
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
    return figure


@style.styled
def inputs_figure(before: pd.DataFrame, now: pd.DataFrame, properties: Sequence[str]) -> Figure:
    """Measures of the images asked, beside those of the snapshot.

    Args:
        before: rows of the manifest.
        now: rows about requests.
        properties: columns of both.
    """
    lines = -(-len(properties) // 3)
    figure = style.new_figure(
        11,
        0.7 + 2.5 * lines,
        "What was asked about",
        f"{len(now):,} logged images beside {len(before):,} of the snapshot",
    )
    every = np.atleast_1d(figure.subplots(lines, 3)).ravel()
    layout = figure.get_layout_engine()
    assert isinstance(layout, ConstrainedLayoutEngine)
    layout.set(h_pad=0.14)
    for axes, name in zip(every, properties, strict=False):
        first, second = (coarse_measure(name, table[name].dropna()) for table in (before, now))
        _histogram(axes, first, second, _edges(first, second))
        axes.set_title(name.capitalize())
        axes.set_xlabel(_UNITS.get(name, ""))
    for axes in every[len(properties) :]:
        axes.set_axis_off()
    figure.legend(*every[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
    return figure


def _class_bars(axes: Axes, classes: Sequence[str], before: NDArray[np.floating], now: NDArray[np.floating]) -> None:
    places = np.arange(len(classes))
    widest = 0.0
    for values, offset, color, name in ((before, -0.2, BEFORE, "reference"), (now, 0.2, NOW, "requests")):
        shares = np.bincount(values.argmax(axis=1), minlength=len(classes)) / len(values)
        axes.barh(places + offset, shares, 0.38, color=color, label=name)
        widest = max(widest, float(shares.max()))
        for place, share in zip(places, shares, strict=True):
            axes.text(share + 0.01, place + offset, f"{share:.0%}", va="center", fontsize=9, color=style.MUTED)
    axes.set_yticks(places, [style.wrap_label(name, 20) for name in classes])
    axes.set(xlim=(0, widest * 1.15), ylim=(len(classes) - 0.4, -0.6))
    axes.xaxis.set_major_formatter(PercentFormatter(1, 0))
    axes.grid(visible=False, axis="y")
    axes.set_title("Predicted classes")


def _histogram(
    axes: Axes, before: NDArray[np.floating], now: NDArray[np.floating], edges: NDArray[np.floating]
) -> None:
    for values, color, name, filled in ((before, BEFORE, "reference", True), (now, NOW, "requests", False)):
        shares = np.histogram(np.clip(values, edges[0], edges[-1]), edges)[0] / max(len(values), 1)
        axes.stairs(shares, edges, color=color, fill=filled, linewidth=2, alpha=0.75 if filled else 1, label=name)
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(PercentFormatter(1, 0))
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.xaxis.set_major_locator(MaxNLocator(5))
    if edges[-1] >= 10_000:
        axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.grid(visible=False, axis="x")


def _edges(before: NDArray[np.floating], now: NDArray[np.floating]) -> NDArray[np.floating]:
    """Bins over all but the last hundredth on either side, so that one odd image does not squeeze the rest."""
    ends = [np.percentile(values, (0.5, 99.5)) for values in (before, now)]
    low, high = min(end[0] for end in ends), max(end[1] for end in ends)
    if low == high:
        low, high = low - 0.5, high + 0.5
    return np.linspace(low, high, _BINS + 1)
