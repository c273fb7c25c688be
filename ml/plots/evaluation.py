"""Figures of an evaluation: what was taken for what, and how well each class is found."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import seaborn as sns

from ml.plots import style

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

__all__ = ["classification_report_table", "confusion_heatmap"]

_METRICS = ("precision", "recall", "f1")
_NO_IMAGES = "\N{EN DASH}"
_WITH_INTERVALS = 5  # classes; above that there is no room for them
_SIDE_BY_SIDE = 8  # classes; above that the two heat maps stand one below the other


@style.styled
def confusion_heatmap(
    matrix: NDArray[np.integer],
    classes: Sequence[str],
    intervals: Sequence[Sequence[Sequence[float] | None]] | None = None,
) -> Figure:
    """Confusion matrix in counts and in shares of the true class.

    Args:
        matrix: int [C, C], rows true classes, columns predictions.
        classes: C names.
        intervals: [C][C], lower and upper ends of each share; written below it where there is room.
    """
    totals = matrix.sum(axis=1, keepdims=True)
    shares = np.divide(matrix, totals, out=np.zeros(matrix.shape), where=totals > 0)
    number, correct, count = len(classes), int(np.trace(matrix)), int(matrix.sum())
    subtitle = f"{correct:,} of {count:,} test images right ({correct / count:.1%})" if count else "No test images"
    side = max(3.2, (0.54 if number > _WITH_INTERVALS else 0.8) * number + 1.5)
    wide = number <= _SIDE_BY_SIDE
    size = (2 * side + 1.8, side + 0.5) if wide else (side + 2.2, 2 * side + 1)
    figure = style.new_figure(*size, "Confusion matrix", subtitle)
    left, right = figure.subplots(1, 2) if wide else figure.subplots(2, 1)
    # In a large matrix the zeros would drown the mistakes.
    counts = [[f"{value:,}" if value or wide else "" for value in row] for row in matrix]
    _draw_matrix(left, matrix, counts, classes)
    rows = zip(shares, totals, strict=True)
    texts = [[_percent(share, small=wide) if total else _NO_IMAGES for share in row] for row, total in rows]
    if intervals and number <= _WITH_INTERVALS:
        texts = [list(map(_with_interval, *pair)) for pair in zip(texts, intervals, strict=True)]
    _draw_matrix(right, shares, texts, classes)
    left.set_title("Images")
    right.set_title("Share of the true class")
    if wide:
        right.set(ylabel="", yticklabels=[])
    return figure


@style.styled
def classification_report_table(report: pd.DataFrame) -> Figure:
    """Precision, recall and F1 of each class as a shaded table, with the number of images behind it.

    Args:
        report: columns ``label``, ``precision``, ``recall``, ``f1`` (0 to 1) and ``support``; averages may follow.
    """
    values = report[list(_METRICS)].to_numpy(np.float64)
    figure = style.new_figure(8, 0.6 + 0.4 * max(len(report), 2), "Precision, recall and F1", "On the test images")
    axes = figure.subplots()
    sns.heatmap(
        values, ax=axes, vmin=0, vmax=1, cmap=style.SEQUENTIAL, annot=True, fmt=".3f", linewidths=1.5, cbar=False
    )
    axes.set_xticks(np.arange(4) + 0.5, [*_METRICS[:2], "F1", "images"])
    axes.set_xlim(0, 4)
    axes.set_yticks(np.arange(len(report)) + 0.5, [style.wrap_label(str(label), 28) for label in report["label"]])
    for row, support in enumerate(report["support"]):
        axes.text(3.5, row + 0.5, f"{int(support):,}", ha="center", va="center", color=style.INK)
    axes.grid(visible=False)
    axes.tick_params(length=0, labelrotation=0)
    axes.xaxis.tick_top()
    return figure


def _percent(share: float, *, small: bool) -> str:
    """A share as text; ``small`` also writes those that round to nothing."""
    if share >= 0.005:
        return f"{share:.0%}"
    if not small:
        return ""
    return "<1%" if share else "0%"


def _with_interval(share: str, ends: Sequence[float] | None) -> str:
    return f"{share}\n{100 * ends[0]:.0f} to {100 * ends[1]:.0f}" if ends else share


def _draw_matrix(axes: Axes, values: NDArray[np.generic], texts: list[list[str]], classes: Sequence[str]) -> None:
    fontsize = float(np.clip(14 - 0.4 * len(classes), 8.5, 11))
    names = [style.wrap_label(name, 16) for name in classes]
    sns.heatmap(
        values,
        ax=axes,
        annot=np.array(texts),
        fmt="",
        cmap=style.SEQUENTIAL,
        vmin=0,
        vmax=max(float(values.max()), 1e-9),
        square=True,
        linewidths=0.8,
        cbar=False,
        annot_kws={"fontsize": fontsize},
        xticklabels=names,
        yticklabels=names,
    )
    upright = len(classes) <= 4 and max(map(len, classes)) <= 12
    axes.tick_params(axis="x", labelrotation=0 if upright else 45, length=0)
    axes.tick_params(axis="y", labelrotation=0, length=0)
    if not upright:
        for label in axes.get_xticklabels():
            label.set(ha="right", rotation_mode="anchor")
    axes.set(xlabel="predicted", ylabel="true")
