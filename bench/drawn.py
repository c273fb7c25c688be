"""Drawn images of labelled head slices, as JPEG files in a landing zone."""

from __future__ import annotations

import io
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TYPE_CHECKING

from PIL import Image

from ml.phantom_slice import CLASSES, draw_phantom

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["draw", "label_of", "land"]

#: Of a hundred images, so many of each class: the shares of a public set of 5,712 real slices.
SHARES = dict(zip(CLASSES, (23, 23, 28, 26), strict=True))


def label_of(number: int) -> str:
    """The class of the image of a number: shares hold in every hundred."""
    place = number * 37 % 100  # spread over the hundred
    for label, share in SHARES.items():
        if place < share:
            return label
        place -= share
    raise AssertionError(number)


def draw(number: int) -> bytes:
    """A slice of its own for every number, RGB, 200 to 520 pixels a side, some 30 KB."""
    pixels, _ = draw_phantom(label_of(number), number)
    stream = io.BytesIO()
    Image.fromarray(pixels).convert("RGB").save(stream, "JPEG", quality=88)
    return stream.getvalue()


def land(folder: Path, numbers: Iterable[int]) -> None:
    """Draw images into ``landing/<label>/`` below a folder."""
    wanted = list(numbers)
    # Not forked: TensorFlow's threads would not survive it.
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        for number, data in zip(wanted, pool.map(draw, wanted, chunksize=50), strict=True):
            path = folder / f"landing/{label_of(number)}/{number:06d}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
