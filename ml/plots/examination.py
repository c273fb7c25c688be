"""Figures of the closer look at a winner: changed images, and what its overlays are worth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ml.plots import style

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["changes_chart", "faithfulness_chart"]

_OVERLAYS = {
    "attention": ("attention", style.ACCENT),
    "grad_cam": ("Grad-CAM", "#009e73"),
    "random": ("random", style.MUTED),
}


@style.styled
def changes_chart(changes: Mapping[str, Any]) -> Figure:
    """Macro F1 on harmed images against the same images as they are, and the share of answers that stay.

    Args:
        changes: from :func:`ml.robustness.measure_changes`.
    """
    rows = {kind: [row for row in changes["changes"] if row["kind"] == kind] for kind in ("corruption", "invariance")}
    subtitle = f"The same {changes['images']:,} test images, changed; lines are 95 % intervals over groups"
    height = 1.6 + 0.3 * sum(map(len, rows.values()))
    figure = style.new_figure(8.6, height, "Changed images", subtitle)
    harmed, kept = figure.subplots(2, 1, height_ratios=[len(one) + 1 for one in rows.values()])
    _draw_rows(harmed, rows["corruption"], "macro_f1", [row["intervals"]["macro_f1"] for row in rows["corruption"]])
    harmed.axvline(changes["clean"]["macro_f1"], color=style.MUTED, ls=":", lw=1.4)
    harmed.set(title=f"Harmed: macro F1, {changes['clean']['macro_f1']:.3f} as they are (dotted)")
    _draw_rows(kept, rows["invariance"], "unmoved", [row["unmoved_interval"] for row in rows["invariance"]])
    kept.axvline(changes["min_unmoved"], color=style.WRONG, ls="--", lw=1.4)
    kept.set(title=f"Hardly changed: answers that stay, {changes['min_unmoved']:.0%} wanted (dashed)")
    return figure


@style.styled
def faithfulness_chart(overlays: Mapping[str, Any]) -> Figure:
    """The answer's probability while the pixels that an overlay marks go, and while they come.

    Args:
        overlays: from :func:`ml.faithfulness.compare_overlays`.
    """
    subtitle = f"Mean over {overlays['images']:,} test images, pixels in the order of each overlay"
    figure = style.new_figure(8.6, 3.6, "What the overlays are worth", subtitle)
    shares = np.linspace(0, 1, overlays["steps"] + 1)
    for place, (axes, title) in enumerate(
        zip(
            figure.subplots(1, 2, sharey=True),
            ("Deletion: lower is better", "Insertion: higher is better"),
            strict=True,
        )
    ):
        for name, row in overlays["overlays"].items():
            label, color = _OVERLAYS[name]
            area = row[("deletion", "insertion")[place]]
            look = "--" if name == "random" else "-"
            axes.plot(shares, row["curves"][place], look, color=color, lw=2, label=f"{label}: {area:.3f}")
        axes.set(title=title, xlim=(0, 1), ylim=(0, 1.02), xlabel=f"share of pixels {('gone', 'there')[place]}")
        axes.legend(frameon=True, framealpha=0.9, fontsize=9)
    figure.axes[0].set_ylabel("probability of the answer")
    return figure


def _draw_rows(
    axes: Axes, rows: Sequence[Mapping[str, Any]], name: str, intervals: Sequence[Sequence[float] | None]
) -> None:
    places = np.arange(len(rows))[::-1]
    for place, row, ends in zip(places, rows, intervals, strict=True):
        color = style.WRONG if row["passed"] is False else style.ACCENT
        if ends:
            axes.plot(ends, [place, place], color=color, lw=2, alpha=0.5, solid_capstyle="round")
        axes.plot(row[name], place, "o", color=color, ms=6)
    axes.set(yticks=places, yticklabels=[row["title"] for row in rows], ylim=(-0.6, len(rows) - 0.4), xlim=(0, 1.02))
    axes.grid(visible=False, axis="y")
