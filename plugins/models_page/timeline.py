"""The champions over time as a drawing: where each dot lies, worked out here so that the template only writes it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from ml.overview.views import Point

__all__ = ["Dot", "Drawing", "Tick", "draw"]

WIDTH, HEIGHT = 960, 240
LEFT, RIGHT, TOP, BOTTOM = 56, 24, 28, 34
#: Pixels between two dots whose versions are both written beside them.
LABEL_DISTANCE = 34
GRID = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2)
MAX_LINES = 5


class Tick(NamedTuple):
    """A line of the grid, or a mark of the time axis, with its text."""

    at: float
    text: str


class Dot(NamedTuple):
    """A change of the stable version; ``y``, and the ends of its interval, are None where they are not known."""

    point: Point
    x: float
    y: float | None
    low: float | None
    high: float | None
    labelled: bool


@dataclass(frozen=True)
class Drawing:
    """Coordinates in pixels of a picture of ``width`` times ``height``; ``steps`` are what served from when to when."""

    dots: tuple[Dot, ...]
    scores: tuple[Tick, ...]
    times: tuple[Tick, ...]
    steps: str
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    bottom: int = HEIGHT - BOTTOM


def draw(points: Sequence[Point], now: datetime) -> Drawing | None:
    """Lay out the time line, which ends now; None where nothing was ever promoted."""
    if not points:
        return None
    first, last = points[0].at, max(now, points[-1].at)
    seconds = max((last - first).total_seconds(), 1.0)
    known = [value for point in points for value in _values(point)]
    low, high, step = _scale(known)

    def across(moment: datetime) -> float:
        return round(LEFT + (WIDTH - LEFT - RIGHT) * (moment - first).total_seconds() / seconds, 1)

    def up(value: float) -> float:
        return round(HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * (value - low) / (high - low), 1)

    dots: list[Dot] = []
    labelled = -math.inf
    for point in points:
        x, interval = across(point.at), point.macro_f1_interval
        dot = Dot(
            point,
            x,
            None if point.macro_f1 is None else up(point.macro_f1),
            None if interval is None else up(interval[0]),
            None if interval is None else up(interval[1]),
            x - labelled >= LABEL_DISTANCE,
        )
        labelled = x if dot.labelled else labelled
        dots.append(dot)
    lines = range(round((high - low) / step) + 1) if known else range(0)
    scores = tuple(Tick(up(low + line * step), f"{low + line * step:.3f}") for line in lines)
    times = (Tick(LEFT, f"{first:%Y-%m-%d}"), Tick(WIDTH - RIGHT, f"{last:%Y-%m-%d}"))
    return Drawing(tuple(dots), scores, times, _steps(dots))


def _values(point: Point) -> tuple[float, ...]:
    if point.macro_f1 is None:
        return ()
    return (point.macro_f1, *(point.macro_f1_interval or ()))


def _scale(values: Sequence[float]) -> tuple[float, float, float]:
    """Ends of the axis on lines of its grid, and the distance of these."""
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    step = next((step for step in GRID if (high - low) / step <= MAX_LINES - 1), GRID[-1])
    low, high = math.floor(low / step) * step, math.ceil(high / step) * step
    return (low, high, step) if high > low else (low - step, high + step, step)


def _steps(dots: Sequence[Dot]) -> str:
    """A line that stays at each version's score until the next one serves."""
    path: list[str] = []
    for dot in dots:
        if dot.y is not None:
            path.append(f"H{dot.x} V{dot.y}" if path else f"M{dot.x} {dot.y}")
    return " ".join([*path, f"H{WIDTH - RIGHT}"]) if path else ""
