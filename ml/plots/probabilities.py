"""Figures of the probabilities: how well they tell a class from the others, and how far they can be believed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sklearn.metrics import precision_recall_curve, roc_curve

from ml.bands import GRID, class_curve_bands, reliability_bands
from ml.metrics import BINS, calibration_bins, calibration_error, confidence_bins
from ml.plots import style

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

__all__ = ["class_curves", "reliability_diagram"]


@style.styled
def class_curves(
    labels: NDArray[np.integer],
    probabilities: NDArray[np.floating],
    report: Sequence[Mapping[str, Any]],
    groups: Sequence[str],
) -> Figure:
    """ROC and precision-recall curves of each class against all others, with their 95 % bands.

    Args:
        labels: int [N], indices into the classes.
        probabilities: float [N, C].
        report: a row a class, with ``label``, ``roc_auc`` and ``average_precision``; a class that has none is left out.
        groups: [N], of the images.
    """
    subtitle = f"On {len(labels):,} test images; shaded: 95 % at each point, over groups of images"
    figure = style.new_figure(10.5, 4.6, "Each class against all others", subtitle)
    roc, precision = figure.subplots(1, 2)
    for index, (row, color) in enumerate(zip(report, style.class_colors(len(report)), strict=True)):
        if row["roc_auc"] is None:
            continue
        name = style.wrap_label(str(row["label"]), 28, 1)
        false, true, _ = roc_curve(labels == index, probabilities[:, index])
        roc.plot(false, true, color=color, lw=2, label=f"{name}: {row['roc_auc']:.3f}")
        shares, recall, _ = precision_recall_curve(labels == index, probabilities[:, index])
        precision.step(recall, shares, where="post", color=color, lw=2, label=f"{name}: {row['average_precision']:.3f}")
        bands = class_curve_bands(labels == index, probabilities[:, index], groups)
        for axes, band in zip((roc, precision), bands or (), strict=False):
            axes.fill_between(GRID, *band, color=color, alpha=0.15, lw=0)
    roc.plot([0, 1], [0, 1], ":", color=style.MUTED, lw=1.2, zorder=1)
    roc.set(title="ROC, with the area below it", xlabel="false positive rate", ylabel="recall")
    precision.set(title="Precision and recall, with average precision", xlabel="recall", ylabel="precision")
    for axes in (roc, precision):
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.04))
        if axes.get_legend_handles_labels()[0]:
            axes.legend(loc="lower right" if axes is roc else "lower left", frameon=True, framealpha=0.9, fontsize=9)
    return figure


@style.styled
def reliability_diagram(
    labels: NDArray[np.integer],
    before: NDArray[np.floating],
    after: NDArray[np.floating],
    temperature: float,
    groups: Sequence[str],
) -> Figure:
    """How often the likeliest class is the true one, by how sure the model is, before and after temperature scaling.

    Args:
        labels: int [N].
        before: probabilities float [N, C] as the model gives them.
        after: scaled, as they are served.
        temperature: between the two.
        groups: [N], of the images; the lines at the points are 95 % intervals over these.
    """
    sums = {name: calibration_bins(labels, shown).sum(axis=0) for name, shown in (("before", before), ("after", after))}
    errors = {name: float(calibration_error(one, len(labels))) for name, one in sums.items()}
    subtitle = (
        f"Expected calibration error {errors['after']:.3f}, {errors['before']:.3f} before scaling with a temperature "
        f"of {temperature:.2f}; on {len(labels):,} test images"
    )
    figure = style.new_figure(6.6, 5.4, "How far the probabilities can be believed", subtitle)
    curve, counts = figure.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": [3, 1]})
    curve.plot([0, 1], [0, 1], ":", color=style.MUTED, lw=1.2, zorder=1)
    _draw_reliability(curve, labels, before, "before scaling", color=style.MUTED, ls="--", marker="o", ms=4, lw=1.5)
    _draw_reliability(curve, labels, after, "as served", color=style.ACCENT, marker="o", ms=6, lw=2)
    _draw_intervals(curve, labels, after, groups)
    curve.set(xlim=(0, 1), ylim=(0, 1.04), ylabel="of these images right")
    curve.legend(loc="upper left", frameon=False)
    counts.hist(after.max(axis=1), bins=np.linspace(0, 1, BINS + 1), color=style.ACCENT, alpha=0.6)
    counts.set(xlabel="probability of the likeliest class", ylabel="images")
    return figure


def _draw_intervals(
    axes: Axes, labels: NDArray[np.integer], probabilities: NDArray[np.floating], groups: Sequence[str]
) -> None:
    confidence = probabilities.max(axis=1)
    ends = reliability_bands(probabilities.argmax(axis=1) == labels, confidence, groups)
    images = np.bincount(confidence_bins(confidence), minlength=BINS)
    places = np.bincount(confidence_bins(confidence), confidence, BINS) / images.clip(min=1)
    axes.vlines(places[images > 0], *ends[:, images > 0], color=style.ACCENT, lw=2, alpha=0.4)


def _draw_reliability(
    axes: Axes, labels: NDArray[np.integer], probabilities: NDArray[np.floating], name: str, **look: Any
) -> None:
    """A point for each bin that has images, at their mean confidence."""
    images = np.bincount(confidence_bins(probabilities.max(axis=1)), minlength=BINS)
    sums = calibration_bins(labels, probabilities).sum(axis=0)
    filled = images > 0
    axes.plot(sums[:BINS][filled] / images[filled], sums[BINS:][filled] / images[filled], label=name, **look)
