"""Pictures of what was measured."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from ml.plots import style

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw_costs"]

LONGEST_EPOCHS = 40


def draw_costs(figures: Mapping[str, float], scaling: Sequence[Mapping[str, float]], path: Path) -> None:
    """Write a PNG: time against epochs for four variants, and time against images for one."""
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(style.png_bytes(_costs(figures, scaling)))


@style.styled
def _costs(figures: Mapping[str, float], scaling: Sequence[Mapping[str, float]]) -> Figure:
    images, epochs = int(figures["images"]), int(figures["epochs"])
    title = f"A retrain of four variants takes {figures['cold_total_seconds'] / 60:.0f} minutes, not "
    title += f"{figures['recipe_seconds'] / 3600:.1f} hours"
    subtitle = f"{images:,} images at 224 x 224, {epochs} epochs, frozen backbones, {os.cpu_count()} cores, no GPU"
    figure = style.new_figure(11, 4.2, title, subtitle)
    left, right = figure.subplots(1, 2)
    _against_epochs(left, figures, epochs)
    _against_images(right, scaling)
    return figure


def _against_epochs(axes: Axes, figures: Mapping[str, float], epochs: int) -> None:
    numbers = np.arange(1, LONGEST_EPOCHS + 1)
    an_epoch = figures["cold_training_seconds"] / epochs
    once = figures["cold_total_seconds"] - figures["cold_training_seconds"]
    little = figures["incremental_total_seconds"] - figures["incremental_training_seconds"]
    lines = (
        ("recipe: backbones in every epoch", figures["recipe_seconds_an_epoch"] * numbers, style.WRONG, "-"),
        ("Quartet, from nothing", once + an_epoch * numbers, style.ACCENT, "-"),
        ("Quartet, 5 % new images", little + an_epoch * numbers, style.ACCENT, "--"),
    )
    for label, seconds, color, dashes in lines:
        axes.plot(numbers, seconds / 60, dashes, color=color, lw=2, label=label)
    warm = figures["warm_total_seconds"] / 60
    green, label = style.SPLIT_COLORS["test"], "Quartet, 5 % new, warm heads"
    axes.plot([figures["warm_epochs"]], [warm], "o", color=green, ms=8, label=label)
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.set_xlabel("epochs")
    axes.set_ylabel("minutes")
    axes.set_title("Time against epochs, four variants")
    axes.legend(frameon=False, fontsize=9)


def _against_images(axes: Axes, scaling: Sequence[Mapping[str, float]]) -> None:
    counts = [one["images"] for one in scaling]
    for what, label, color in (
        ("extraction_seconds", "extraction, once an image", style.ACCENT),
        ("epoch_seconds", "an epoch of the head", style.SPLIT_COLORS["validation"]),
    ):
        axes.plot(counts, [one[what] for one in scaling], "o-", color=color, lw=2, label=label)
    axes.set_xlabel("images")
    axes.set_ylabel("seconds")
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    axes.set_title("Time against images, MobileNet")
    axes.legend(frameon=False, fontsize=9)
