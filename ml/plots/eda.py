"""Figures of a snapshot: how many images, in which shares, and what they look like."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator

from ml.plots import style
from ml.splits import count_by_split

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

__all__ = ["class_share_pie", "count_plot", "sample_grid"]

_CELL, _GAP, _LABEL = 1.35, 0.07, 0.3  # inches, of the sample grid
_MAX_COLUMNS = 8


@style.styled
def count_plot(manifest: pd.DataFrame) -> Figure:
    """Images per class as bars stacked by split, with the number on each part and the total behind it.

    Args:
        manifest: columns ``label`` and ``split``. A categorical ``label`` also shows its classes without images.
    """
    counts = _counts_by_split(manifest)
    totals = counts.sum(axis=1)
    subtitle = " · ".join(f"{split} {int(counts[split].sum()):,}" for split in counts.columns)
    figure = style.new_figure(
        9, 1.2 + 0.42 * max(len(counts), 2), f"{int(totals.sum()):,} images in {len(counts)} classes", subtitle
    )
    axes = figure.subplots()
    _stack_bars(axes, counts)
    widest = max(float(totals.max()) if len(totals) else 0.0, 1.0)
    for position, total in enumerate(totals):
        axes.text(total + widest * 0.012, position, f"{total:,}", va="center", fontweight="bold", color=style.INK)
    axes.set(xlim=(0, widest * 1.12), ylim=(len(counts) - 0.45, -0.55), xlabel="images")
    axes.set_yticks(range(len(counts)), [style.wrap_label(str(label), 26) for label in counts.index])
    axes.grid(visible=False, axis="y")
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True, min_n_ticks=1))
    axes.xaxis.set_major_formatter("{x:,.0f}")
    if len(counts):
        figure.legend(loc="outside lower center", ncols=3, frameon=False)
    return figure


@style.styled
def class_share_pie(manifest: pd.DataFrame) -> Figure:
    """Each class's share of the images as a ring, with counts and shares in the legend.

    Args:
        manifest: column ``label``; a categorical one also lists its classes without images.
    """
    counts = _counts_by_split(manifest).sum(axis=1)
    total = int(counts.sum())
    figure = style.new_figure(9, max(4.0, 0.27 * len(counts) + 0.4), "Share of each class", _balance(counts))
    ring, key = figure.subplots(1, 2, width_ratios=(1, 1.15))
    key.set_axis_off()
    ring.set_axis_off()
    ring.set(xlim=(-1.02, 1.02), ylim=(-1.02, 1.02), aspect="equal")
    ring.text(0, 0, f"{total:,}\nimages", ha="center", va="center", fontsize=13, fontweight="bold", color=style.INK)
    if not total:
        return figure
    colors = style.class_colors(len(counts))
    wedges = _draw_ring(ring, counts, colors)
    entries = [
        f"{style.wrap_label(str(label), 34, 1)}  ·  {count:,}  ({count / total:.1%})" for label, count in counts.items()
    ]
    key.legend(wedges, entries, loc="center left", frameon=False, borderaxespad=0, labelspacing=0.55)
    return figure


@style.styled
def sample_grid(images_by_class: Mapping[str, Sequence[NDArray[np.uint8]]]) -> Figure:
    """A row of images for each class, at most eight a row; each uint8 [H, W, 3], any sizes."""
    columns = min(max((len(images) for images in images_by_class.values()), default=1), _MAX_COLUMNS)
    columns = max(columns, 4)
    heights = [_LABEL + (_CELL if len(images) else _LABEL) + 0.1 for images in images_by_class.values()]
    figure = style.new_figure(
        0.6 + columns * (_CELL + _GAP), sum(heights) + 0.3, "Samples of each class", "As stored, before resizing"
    )
    figure.set_layout_engine("none")
    width, total = figure.get_size_inches()
    top = total - sum(heights) - 0.15
    for (label, images), height in zip(images_by_class.items(), heights, strict=True):
        name = style.wrap_label(label, columns * 14, 1)
        figure.text(0.3 / width, 1 - (top + 0.14) / total, name, fontweight="bold", fontsize=10.5, va="center")
        for column, image in enumerate(images[:columns]):
            axes = style.new_axes(figure, 0.3 + column * (_CELL + _GAP), top + _LABEL, _CELL, _CELL)
            axes.imshow(image)
            axes.set_axis_off()
            axes.set_anchor("NW")
        if not len(images):
            figure.text(0.3 / width, 1 - (top + 0.42) / total, "no images", color=style.MUTED, va="center")
        top += height
    return figure


def _counts_by_split(manifest: pd.DataFrame) -> pd.DataFrame:
    """Counts, int [class, split], of every class in the label's order and every split."""
    labels = manifest["label"]
    order = labels.cat.categories if isinstance(labels.dtype, pd.CategoricalDtype) else sorted(labels.unique())
    return count_by_split(labels.astype(str), manifest["split"].astype(str), [str(label) for label in order])


def _stack_bars(axes: Axes, counts: pd.DataFrame) -> None:
    widest = max(int(counts.sum(axis=1).max()) if len(counts) else 0, 1)
    left = np.zeros(len(counts))
    for split in counts.columns:
        values = counts[split].to_numpy()
        color = style.SPLIT_COLORS[split]
        axes.barh(range(len(counts)), values, 0.66, left=left, color=color, label=split, edgecolor="white")
        for position, value in enumerate(values):
            text = f"{value:,}"
            if value >= widest * 0.014 * (len(text) + 1):
                middle = left[position] + value / 2
                axes.text(middle, position, text, ha="center", va="center", fontsize=9, color=style.readable_on(color))
        left += values


def _draw_ring(axes: Axes, counts: pd.Series[int], colors: list[tuple[float, float, float]]) -> list[object]:
    wedges = axes.pie(
        counts.to_numpy(),
        colors=colors,
        startangle=90,
        counterclock=False,
        wedgeprops={"width": 0.42, "edgecolor": "white"},
    )[0]
    for wedge, share, color in zip(wedges, counts / counts.sum(), colors, strict=True):
        if share >= 0.045:
            angle = np.deg2rad((wedge.theta1 + wedge.theta2) / 2)
            place = (0.79 * np.cos(angle), 0.79 * np.sin(angle))
            axes.text(*place, f"{share:.0%}", ha="center", va="center", fontsize=9.5, color=style.readable_on(color))
    return list(wedges)


def _balance(counts: pd.Series[int]) -> str:
    if counts.empty or not counts.sum():
        return "No images"
    if counts.min() == 0:
        empty = int((counts == 0).sum())
        return f"{empty} of {len(counts)} classes without images"
    return f"The largest class has {counts.max() / counts.min():.1f} times the images of the smallest"
