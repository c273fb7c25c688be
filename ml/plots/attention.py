"""Figures of where a model looked: its attention and its evidence, over the image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import matplotlib as mpl
import numpy as np
from matplotlib.cm import ScalarMappable

from ml.plots import style

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure
    from numpy.typing import NDArray

__all__ = ["OverlayExample", "attention_overlays", "blend_attention"]

_COLORMAP = "inferno"
_PICTURE, _GAP, _GUTTER, _CAPTION = 1.6, 0.06, 0.4, 0.62  # inches
_HEADINGS = ("image", "attention", "evidence (Grad-CAM)")
_OPAQUE = 0.75


@dataclass(frozen=True)
class OverlayExample:
    """One test image with the maps of its prediction.

    Attributes:
        image: uint8 [H, W, 3].
        attention: float32 [h, w], sums to 1.
        evidence: float32 [h, w] for the predicted class, sums to 1.
        truth: the true class.
        predicted: the predicted class.
        probability: of the predicted class.
        why: it is shown, e.g. ``most confident``.
    """

    image: NDArray[np.uint8]
    attention: NDArray[np.float32]
    evidence: NDArray[np.float32]
    truth: str
    predicted: str
    probability: float
    why: str

    @property
    def right(self) -> bool:
        """Whether the prediction is the truth."""
        return self.truth == self.predicted


@style.styled
def attention_overlays(examples: Sequence[OverlayExample]) -> Figure:
    """Each image, and beside it the image under its attention and under its evidence; wrong predictions are framed."""
    abreast = 1 if len(examples) <= 1 else 2
    rows = max(-(-len(examples) // abreast), 1)
    width = 0.6 + abreast * _strip_width() + (abreast - 1) * _GUTTER
    height = 0.3 + rows * (_PICTURE + _CAPTION) + 0.6
    wrong = sum(not example.right for example in examples)
    subtitle = (
        f"{len(examples)} test {'image' if len(examples) == 1 else 'images'}, {wrong} predicted wrongly"
        if examples
        else "No test images"
    )
    figure = style.new_figure(width, height, "Where the model looked", subtitle)
    figure.set_layout_engine("none")
    top = figure.get_size_inches()[1] - height + 0.3
    for position, example in enumerate(examples):
        row, column = divmod(position, abreast)
        left = 0.3 + column * (_strip_width() + _GUTTER)
        if row == 0:
            _draw_headings(figure, left, top)
        _draw_strip(figure, example, left, top + row * (_PICTURE + _CAPTION))
    _draw_scale(figure)
    return figure


def blend_attention(image: NDArray[np.uint8], attention: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Lay an attention map over an image: uint8 [H, W, 3].

    The map is enlarged bilinearly; colour and opacity both rise with it, so that the image stays visible where the
    model paid no attention. Full colour is the map's peak, or four times an even spread where that is more: a model
    that looked everywhere alike leaves a faint veil, not hot spots.
    """
    height, width = image.shape[:2]
    enlarged = cv2.resize(np.asarray(attention, np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    full = max(float(enlarged.max()), 4 / attention.size)
    strength = np.clip(enlarged / full, 0, 1)
    colors = mpl.colormaps[_COLORMAP](strength)[..., :3] * 255
    opacity = (_OPAQUE * np.sqrt(strength))[..., None]
    return np.asarray(np.rint(image * (1 - opacity) + colors * opacity), np.uint8)


def _strip_width() -> float:
    return len(_HEADINGS) * (_PICTURE + _GAP) - _GAP


def _draw_headings(figure: Figure, left: float, top: float) -> None:
    width, height = figure.get_size_inches()
    for place, heading in enumerate(_HEADINGS):
        x, y = (left + place * (_PICTURE + _GAP)) / width, 1 - (top - 0.12) / height
        figure.text(x, y, heading, fontsize=9, va="center", color=style.MUTED)


def _draw_strip(figure: Figure, example: OverlayExample, left: float, top: float) -> None:
    width, height = figure.get_size_inches()
    color = style.INK if example.right else style.WRONG
    overlays = (blend_attention(example.image, one) for one in (example.attention, example.evidence))
    for place, picture in enumerate((example.image, *overlays)):
        axes = style.new_axes(figure, left + place * (_PICTURE + _GAP), top, _PICTURE, _PICTURE)
        axes.imshow(picture)
        # A square frame whatever the picture's shape, so that the grid stays even.
        axes.set(facecolor=style.GRID, adjustable="datalim")
        axes.spines[:].set(visible=True, color=style.GRID if example.right else style.WRONG)
        axes.spines[:].set_linewidth(1 if example.right else 3)
    mark = "✓" if example.right else "✗ wrong:"
    said = f"{mark} {style.wrap_label(example.predicted, 40, 1)}  {example.probability:.0%}"
    truth = f"true class: {style.wrap_label(example.truth, 40, 1)}"
    if example.right:
        truth = f"{truth}, {example.why} of these"
    for line, (text, weight) in enumerate(((said, "bold"), (truth, "normal"))):
        y = 1 - (top + _PICTURE + 0.17 + 0.19 * line) / height
        figure.text(left / width, y, text, fontsize=9.5, fontweight=weight, va="center", color=color)


def _draw_scale(figure: Figure) -> None:
    width, height = figure.get_size_inches()
    axes = figure.add_axes((0.3 / width, 0.42 / height, 1.3 / width, 0.1 / height))
    scale = figure.colorbar(ScalarMappable(cmap=_COLORMAP), cax=axes, orientation="horizontal", ticks=[])
    scale.outline.set_visible(False)
    text = "share of attention or evidence, from none to peak"
    figure.text(1.7 / width, 0.47 / height, text, fontsize=9, va="center", color=style.MUTED)
