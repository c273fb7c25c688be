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

__all__ = ["draw_costs", "draw_power"]

LONGEST_EPOCHS = 40
LEADS = (0, 1, 2, 3, 5)


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


def draw_power(figures: Mapping[str, float], risk: float, path: Path) -> None:
    """Write a PNG: the share of challengers that the gate promotes, against how much better they are."""
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(style.png_bytes(_power(figures, risk)))


@style.styled
def _power(figures: Mapping[str, float], risk: float) -> Figure:
    equal, better = (figures[f"real_sibling_{lead}_points_margin_0_share"] for lead in (0, 3))
    title = (
        f"Of equal challengers the gate promotes {_per_cent(equal)}, of those three points better {_per_cent(better)}"
    )
    subtitle = (
        "Simulated pairs of models on a test split of 827 images in 622 groups, macro F1 of the champion 0.95; "
        "bars: 95 % intervals"
    )
    figure = style.new_figure(11, 4.4, title, subtitle)
    left, right = figure.subplots(1, 2, sharey=True)
    colors = (style.WRONG, style.ACCENT, style.SPLIT_COLORS["test"])
    names = {"trained_again": "trained again", "sibling": "sibling backbone", "other_backbone": "other backbone"}
    for color, (key, label) in zip(colors, names.items(), strict=True):
        _promotions(left, figures, key, "0", color, label)
    for color, margin in zip((colors[2], colors[0], colors[1]), ("0.02", "0.01", "0"), strict=True):
        _promotions(right, figures, "sibling", margin, color, f"margin {margin}")
    left.set_title("Margin 0, by how alike the two models are")
    right.set_title("Sibling backbone, by margin")
    left.set_ylabel("promoted")
    for axes in (left, right):
        _finish(axes, risk)
    return figure


def _promotions(axes: Axes, figures: Mapping[str, float], key: str, margin: str, color: str, label: str) -> None:
    shares, low, high = (
        np.array([figures[f"real_{key}_{lead}_points_margin_{margin}_share{end}"] for lead in LEADS])
        for end in ("", "_low", "_high")
    )
    axes.errorbar(
        LEADS, shares, yerr=(shares - low, high - shares), fmt="o-", color=color, lw=2, ms=5, capsize=2, label=label
    )


def _finish(axes: Axes, risk: float) -> None:
    axes.axhline(risk, color=style.INK, lw=1, ls=":")
    axes.annotate(
        f"configured risk, {_per_cent(risk)}", (5.1, risk), (0, 3), textcoords="offset points", ha="right", fontsize=9
    )
    axes.set_xlabel("true lead of the challenger, points of macro F1")
    axes.set_xticks(LEADS)
    axes.set_xlim(-0.2, 5.2)
    axes.set_ylim(0, 1.03)
    axes.yaxis.set_major_formatter(lambda share, _: _per_cent(share))
    axes.legend(frameon=False, fontsize=9, loc="center right")


def _per_cent(share: float) -> str:
    return f"{100 * share:.0f} %"
