"""The look that every figure shares: theme, palette, title block, PNG."""

from __future__ import annotations

import functools
import re
import textwrap
from io import BytesIO
from typing import TYPE_CHECKING, Any, ParamSpec

import matplotlib as mpl
import numpy as np
import seaborn as sns
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.axes import Axes

__all__ = [
    "ACCENT",
    "GRID",
    "INK",
    "MUTED",
    "SEQUENTIAL",
    "SPLIT_COLORS",
    "WRONG",
    "add_title",
    "class_colors",
    "new_axes",
    "new_figure",
    "png_bytes",
    "readable_on",
    "styled",
    "wrap_label",
]

P = ParamSpec("P")

INK, MUTED, GRID = "#1b2430", "#5d6875", "#dfe3e8"
# Okabe and Ito's colours, which stay apart under the common kinds of colour blindness.
ACCENT, WRONG = "#0072b2", "#d55e00"
SPLIT_COLORS = {"train": "#0072b2", "validation": "#e69f00", "test": "#009e73"}
SEQUENTIAL = "Blues"
_OKABE_ITO = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442", "#7f7f7f")

_MARGIN = 0.3  # inches around a figure
_THEME: dict[str, Any] = {
    "axes.edgecolor": "#aab2bb",
    "axes.labelcolor": MUTED,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 11.5,
    "axes.titleweight": "bold",
    "axes.titlecolor": INK,
    "font.family": ["DejaVu Sans"],
    "font.size": 10.5,
    "grid.color": GRID,
    "text.color": INK,
    # A class may be called "$5 note"; it is not mathematics.
    "text.parse_math": False,
    "xtick.color": MUTED,
    "ytick.color": INK,
}


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Run a drawing function under the theme and leave matplotlib's settings as they were."""

    @functools.wraps(draw)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> Figure:
        theme: Any = {**sns.axes_style("whitegrid"), **sns.plotting_context("notebook"), **_THEME}
        with mpl.rc_context(theme):
            return draw(*args, **kwargs)

    return wrapper


def new_figure(width: float, height: float, title: str, subtitle: str = "") -> Figure:
    """A figure of ``width`` by ``height`` inches below its title block, in constrained layout."""
    header = _header_height(width, title, subtitle)
    total = height + header
    layout = ConstrainedLayoutEngine(rect=(0.26 / width, 0.1 / total, 1 - 0.52 / width, (height - 0.1) / total))
    figure = Figure(figsize=(width, total), layout=layout, facecolor="white")
    FigureCanvasAgg(figure)
    add_title(figure, title, subtitle)
    return figure


def new_axes(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Axes without ticks, for a picture, at a place in inches from the figure's upper left corner."""
    total_width, total_height = figure.get_size_inches()
    bottom = total_height - top - height
    axes = figure.add_axes(
        (left / total_width, bottom / total_height, width / total_width, height / total_height), xticks=[], yticks=[]
    )
    axes.grid(visible=False)
    return axes


def add_title(figure: Figure, title: str, subtitle: str = "") -> float:
    """Write the title block at the upper left; return its height in inches."""
    width, height = figure.get_size_inches()
    lines = _title_lines(width, title)
    left, top = _MARGIN / width, 1 - 0.2 / height
    figure.text(left, top, "\n".join(lines), fontsize=14, fontweight="bold", va="top", linespacing=1.15, color=INK)
    if subtitle:
        below = 1 - (0.28 + 0.235 * len(lines)) / height
        wrapped = "\n".join(_subtitle_lines(width, subtitle))
        figure.text(left, below, wrapped, fontsize=10, va="top", color=MUTED, linespacing=1.3)
    return _header_height(width, title, subtitle)


def _header_height(width: float, title: str, subtitle: str) -> float:
    lines = len(_title_lines(width, title))
    extra = 0.12 + 0.19 * len(_subtitle_lines(width, subtitle)) if subtitle else 0.0
    return 0.3 + 0.235 * lines + extra


def _title_lines(width: float, title: str) -> list[str]:
    return textwrap.wrap(title, max(12, int((width - 2 * _MARGIN) * 8.2))) or [""]


def _subtitle_lines(width: float, subtitle: str) -> list[str]:
    return textwrap.wrap(subtitle, max(16, int((width - 2 * _MARGIN) * 12.5)))


def wrap_label(label: str, width: int = 18, lines: int = 2) -> str:
    """Break a class name over a few lines, at spaces and _ - / too; what does not fit ends in an ellipsis."""
    wrapped = [""]
    for piece in re.findall(r"[^\s_/-]*[\s_/-]+|[^\s_/-]+", label):
        if wrapped[-1] and len(wrapped[-1]) + len(piece.rstrip()) > width:
            wrapped.append("")
        wrapped[-1] += piece
    kept = [*wrapped[: lines - 1], "".join(wrapped[lines - 1 :])]
    return "\n".join(_shorten(line.strip(), width) for line in kept if line)


def _shorten(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"


def class_colors(count: int) -> list[tuple[float, float, float]]:
    """One colour a class: named, distinct hues while they last, then steps of a perceptual ramp."""
    if count <= len(_OKABE_ITO):
        return [to_rgb(color) for color in _OKABE_ITO[:count]]
    return [(red, green, blue) for red, green, blue in sns.color_palette("viridis", count)]


def readable_on(color: str | tuple[float, float, float]) -> str:
    """Ink or white, whichever stands out on ``color`` (relative luminance as in WCAG 2)."""
    channels = np.asarray(to_rgb(color))
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return "white" if float(linear @ (0.2126, 0.7152, 0.0722)) < 0.3 else INK


def png_bytes(figure: Figure, dpi: int = 144) -> bytes:
    """The figure as PNG; equal figures give equal bytes."""
    stream = BytesIO()
    figure.savefig(stream, format="png", dpi=dpi, metadata={"Software": None})
    return stream.getvalue()
