"""One phantom slice: a drawn head with a lesion of its class, as a scanner would show it.

Coordinates are those of the head: u grows to the right, v to the back, and the scalp lies at radius 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Plane = NDArray[np.floating]
    Pixels = NDArray[np.uint8]
    Box = tuple[int, int, int, int]

__all__ = ["CLASSES", "draw_phantom"]

CLASSES = ("glioma", "meningioma", "notumor", "pituitary")

_BONE, _DURA, _BRAIN = 0.94, 0.865, 0.845


def draw_phantom(label: str, index: int, seed: int = 0) -> tuple[Pixels, Box | None]:
    """Draw one slice: uint8 [H, W], 180 to 520 pixels a side, and the lesion's box (x0, y0, x1, y1) or None."""
    generator = np.random.default_rng((seed, CLASSES.index(label), index))
    height, width = _draw_size(generator)
    head = _Head(generator, height, width)
    lesion = _LESIONS[label](head, generator) if label in _LESIONS else None
    canvas = _draw_anatomy(head, generator, lesion)
    if lesion is None:
        return _acquire(canvas, generator), None
    lesion.paint(canvas)
    return _acquire(canvas, generator), _box(lesion.mask)


class _Head:
    """A grid of head coordinates, float32 [H, W] each, with the slice's random pose and shape."""

    def __init__(self, generator: np.random.Generator, height: int, width: int) -> None:
        half_length = min(height, width * 1.15) * generator.uniform(0.42, 0.46)
        half_width = half_length * generator.uniform(0.76, 0.9)
        angle = generator.uniform(-0.15, 0.15)
        x = np.arange(width, dtype=np.float32) - width * (0.5 + generator.uniform(-0.02, 0.02))
        y = np.arange(height, dtype=np.float32) - height * (0.5 + generator.uniform(-0.02, 0.02))
        cosine, sine = math.cos(angle), math.sin(angle)
        across = (cosine * x[None, :] + sine * y[:, None]) / half_width
        self.v: Plane = (cosine * y[:, None] - sine * x[None, :]) / half_length
        # The forehead is narrower than the back of the head.
        self.u: Plane = across * (1 - generator.uniform(0.02, 0.12) * self.v)
        turn = np.arctan2(self.v, self.u)
        self.radius: Plane = np.hypot(self.u, self.v)
        for order in (2, 3, 4, 5):
            self.radius *= 1 + generator.normal(0, 0.008) * np.cos(order * turn + generator.uniform(0, 6.3))
        self.shape = (height, width)

    def distance(self, u: float, v: float, along: float = 1.0, across: float = 1.0) -> Plane:
        """Elliptic distance from a point, 1 on the ellipse with half-axes ``across`` (u) and ``along`` (v)."""
        distance: Plane = np.hypot((self.u - u) / across, (self.v - v) / along)
        return distance


@dataclass(frozen=True)
class _Lesion:
    """Layers to paint, (weight [H, W], grey [H, W] or scalar), and how far it pushes the brain aside."""

    layers: tuple[tuple[Plane, Plane | float], ...]
    mask: NDArray[np.bool_]
    centre: tuple[float, float]
    push: float

    def paint(self, canvas: Plane) -> None:
        for weight, grey in self.layers:
            _paint(canvas, weight, grey)


def _glioma(head: _Head, generator: np.random.Generator) -> _Lesion:
    side = generator.choice((-1, 1))
    u, v = float(side * generator.uniform(0.34, 0.44)), float(generator.uniform(-0.38, 0.38))
    size = generator.uniform(0.24, 0.32)
    stretch = generator.uniform(0.8, 1.25)
    distance = head.distance(u, v, size * stretch, size / stretch) + 0.24 * _noise(generator, head.shape, 0.07)
    inside = _below(head.radius, _BRAIN - 0.01, 0.02)
    reach = distance + 0.2 * _noise(generator, head.shape, 0.05)
    oedema = 0.62 * _below(reach, 1.6, 0.5) * inside
    mass = _below(distance, 1.0, 0.12) * inside
    mottled = 0.72 + 0.1 * _noise(generator, head.shape, 0.018)
    rim = mass * _above(distance, 0.55 + 0.12 * _noise(generator, head.shape, 0.05), 0.18)
    necrosis = 0.24 + 0.06 * _noise(generator, head.shape, 0.02)
    layers = ((oedema, generator.uniform(0.3, 0.36)), (mass, necrosis), (rim, mottled))
    return _Lesion(layers, mass > 0.5, (u, v), size * 0.3)


def _meningioma(head: _Head, generator: np.random.Generator) -> _Lesion:
    size = generator.uniform(0.18, 0.27)
    turn = generator.uniform(-np.pi, np.pi)
    reach = _DURA - size * generator.uniform(0.72, 0.9)
    u, v = float(reach * np.cos(turn)), float(reach * np.sin(turn))
    distance = head.distance(u, v, size, size) + 0.03 * _noise(generator, head.shape, 0.09)
    inside = _below(head.radius, _DURA, 0.015)
    cleft = 0.75 * _below(distance, 1.13, 0.08) * inside
    mass = _below(distance, 1.0, 0.06) * inside
    tail = 0.8 * _below(np.abs(head.radius - _DURA + 0.012), 0.011, 0.014) * _below(distance, 1.75, 0.5)
    texture = 0.025 * _noise(generator, head.shape, 0.03) + 0.02 * _noise(generator, head.shape, 0.01)
    grey = generator.uniform(0.8, 0.88) + texture
    return _Lesion(((cleft, 0.2), (tail, 0.8), (mass, grey)), mass > 0.5, (u, v), size * 0.3)


def _pituitary(head: _Head, generator: np.random.Generator) -> _Lesion:
    u, v = float(generator.normal(0, 0.012)), float(generator.uniform(0.24, 0.36))
    size = generator.uniform(0.12, 0.16)
    distance = head.distance(u, v, size * generator.uniform(0.85, 1.2), size)
    distance += 0.05 * _noise(generator, head.shape, 0.05)
    cistern = 0.85 * _below(distance, 1.3, 0.25)
    mass = _below(distance, 1.0, 0.1)
    grey = generator.uniform(0.8, 0.9) + 0.05 * _noise(generator, head.shape, 0.012)
    return _Lesion(((cistern, 0.16), (mass, grey)), mass > 0.5, (u, v), size * 0.3)


_LESIONS: dict[str, Callable[[_Head, np.random.Generator], _Lesion]] = {
    "glioma": _glioma,
    "meningioma": _meningioma,
    "pituitary": _pituitary,
}


def _draw_anatomy(head: _Head, generator: np.random.Generator, lesion: _Lesion | None) -> Plane:
    """Draw scalp, skull, folded cortex, ventricles and deep nuclei: float32 [H, W], air 0, fat about 0.8."""
    white, grey = generator.uniform(0.56, 0.66), generator.uniform(0.38, 0.46)
    fluid = generator.uniform(0.1, 0.17)
    u, v = _displaced(head, lesion)
    canvas = np.zeros(head.shape, np.float32)
    scalp = generator.uniform(0.6, 0.8) + 0.08 * _noise(generator, head.shape, 0.012)
    _paint(canvas, _below(head.radius, 1.0, 0.02), scalp)
    _paint(canvas, _below(head.radius, _BONE, 0.02), 0.06)
    marrow = np.abs(head.radius - (_BONE + _DURA) / 2 + 0.006 * _noise(generator, head.shape, 0.04))
    _paint(canvas, 0.7 * _below(marrow, 0.016, 0.02), 0.4)
    _paint(canvas, _below(head.radius, _DURA, 0.015), fluid)
    depth = _cortical_depth(head, u, v, generator)
    _paint(canvas, _above(depth, 0.004, 0.012), grey)
    _paint(canvas, _above(depth, 0.034 + 0.005 * _noise(generator, head.shape, 0.015), 0.024), white)
    canvas *= 1 + 0.025 * _noise(generator, head.shape, 0.012)
    u, v = u + 0.009 * _noise(generator, head.shape, 0.04), v + 0.012 * _noise(generator, head.shape, 0.04)
    _paint_deep_structures(canvas, u, v, generator, grey, fluid)
    return canvas


def _displaced(head: _Head, lesion: _Lesion | None) -> tuple[Plane, Plane]:
    """Coordinates of the tissue that a lesion has pushed outwards: the midline bends away from a large one."""
    if lesion is None:
        return head.u, head.v
    du, dv = head.u - lesion.centre[0], head.v - lesion.centre[1]
    pushed = lesion.push * np.exp(-(du**2 + dv**2) / 0.18) / (np.hypot(du, dv) + 0.05)
    return head.u - pushed * du, head.v - pushed * dv


def _cortical_depth(head: _Head, u: Plane, v: Plane, generator: np.random.Generator) -> Plane:
    """Distance to the nearest fluid: the brain's surface, the midline fissure, or a sulcus.

    Sulci are the zero lines of a band-limited noise; the bonus below the surface keeps them out of the deep white.
    """
    surface = _BRAIN - head.radius
    folds = np.abs(_noise(generator, head.shape, 0.019) - 0.3 * _noise(generator, head.shape, 0.05))
    floor = generator.uniform(0.16, 0.22) + 0.05 * _noise(generator, head.shape, 0.06)
    sulci = generator.uniform(0.04, 0.05) * folds + 0.5 * np.maximum(surface - floor, 0)
    wobble = 0.006 * _noise(generator, head.shape, 0.08)
    fissure = np.abs(u + wobble) + 0.6 * np.maximum(generator.uniform(0.34, 0.42) - np.abs(v + 0.02), 0)
    sylvian = np.hypot(np.maximum(0.52 - np.abs(u), 0), 0.9 * (v + 0.1 + 0.25 * (np.abs(u) - 0.6)) + 2 * wobble)
    depth: Plane = np.minimum.reduce([surface, sulci, fissure, sylvian])
    return depth


def _paint_deep_structures(
    canvas: Plane, u: Plane, v: Plane, generator: np.random.Generator, grey: float, fluid: float
) -> None:
    scale = generator.uniform(0.75, 1.25)
    spread = generator.uniform(0.9, 1.1)
    side = np.abs(u) / spread
    nuclei = (
        np.hypot((side - 0.12) / 0.085, (v - 0.1) / 0.14),
        np.hypot((side - 0.27 - 0.15 * v) / 0.065, (v + 0.04) / 0.19),
        np.hypot((side - 0.15) / 0.05, (v + 0.22) / 0.11),
    )
    for nucleus in nuclei:
        _paint(canvas, 0.85 * _below(nucleus, 1.0, 0.3), grey)
    horns = (
        _tube(side, v, (0.045, -0.1), (0.1 * scale, -0.3), (0.022 * scale, 0.038 * scale)),
        _tube(side, v, (0.045, -0.12), (0.035, 0.1), (0.024 * scale, 0.006)),
        _tube(side, v, (0.2, 0.2), (0.25, 0.29), (0.018 * scale, 0.045 * scale)),
        _tube(side, v, (0.25, 0.29), (0.17, 0.5), (0.045 * scale, 0.012)),
        _tube(side, v, (0.0, 0.0), (0.0, 0.16), (0.012 * scale, 0.008)),
    )
    _paint(canvas, _below(np.minimum.reduce(horns), 0.0, 0.022), fluid)
    cistern = np.hypot(u / 0.075, (v - 0.3) / 0.045) + 0.35 * np.cos(5 * np.arctan2(u, v - 0.3))
    _paint(canvas, _below(cistern, 1.0, 0.35), fluid)


def _tube(
    u: Plane, v: Plane, start: tuple[float, float], end: tuple[float, float], radii: tuple[float, float]
) -> Plane:
    """Signed distance to a line from ``start`` to ``end`` that tapers between two radii, negative inside."""
    du, dv = end[0] - start[0], end[1] - start[1]
    along = np.clip(((u - start[0]) * du + (v - start[1]) * dv) / (du * du + dv * dv), 0, 1)
    thickness = radii[0] + along * (radii[1] - radii[0])
    distance: Plane = np.hypot(u - start[0] - along * du, v - start[1] - along * dv)
    return distance - thickness


def _acquire(canvas: Plane, generator: np.random.Generator) -> Pixels:
    """What the scanner does to the slice: coil shading, blur, Rician noise, a window. uint8 [H, W]."""
    shading = 1 + 0.07 * _noise(generator, canvas.shape, 0.3)
    shaded = cv2.GaussianBlur(canvas * shading, (0, 0), generator.uniform(0.5, 0.9))
    sigma = generator.uniform(0.012, 0.035)
    real = shaded + sigma * generator.standard_normal(canvas.shape, np.float32)
    magnitude: Plane = np.hypot(real, sigma * generator.standard_normal(canvas.shape, np.float32))
    window = generator.uniform(0.92, 1.05)
    levels: Plane = np.clip(255 * window * magnitude ** generator.uniform(0.9, 1.15), 0, 255)
    return levels.astype(np.uint8)


def _draw_size(generator: np.random.Generator) -> tuple[int, int]:
    height = int(generator.integers(200, 481))
    if generator.random() < 0.6:
        return height, height
    return height, int(np.clip(height * generator.uniform(0.8, 1.2), 180, 520))


def _noise(generator: np.random.Generator, shape: tuple[int, ...], scale: float) -> Plane:
    """Smooth noise of mean 0 and deviation 1; ``scale`` is its length as a share of the image's side."""
    # Blurring a small plane and enlarging it costs the same whatever the length.
    side = int(np.clip(4 / scale, 12, 256))
    sigma = scale * side
    plane = cv2.GaussianBlur(generator.standard_normal((side, side), np.float32), (0, 0), sigma)
    plane = (plane - plane.mean()) / plane.std()
    return np.asarray(cv2.resize(plane, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC), np.float32)


def _below(values: Plane, edge: Plane | float, softness: float) -> Plane:
    """Weight that falls from 1 to 0 over ``softness`` around ``edge``."""
    weight: Plane = np.clip((edge - values) / softness + 0.5, 0, 1)
    return weight


def _above(values: Plane, edge: Plane | float, softness: float) -> Plane:
    return 1 - _below(values, edge, softness)


def _paint(canvas: Plane, weight: Plane, grey: Plane | float) -> None:
    canvas += weight * (grey - canvas)


def _box(mask: NDArray[np.bool_]) -> Box:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
