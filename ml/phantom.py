"""Phantoms: drawn head slices with known labels, lesions and defects, for tests and demonstrations.

The pictures resemble axial magnetic resonance images closely enough to exercise the pipeline; they hold no patient
and teach nothing about one.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from io import BytesIO
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image

from ml.errors import DataError
from ml.phantom_slice import CLASSES, draw_phantom

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    Pixels = NDArray[np.uint8]
    Box = tuple[int, int, int, int]

__all__ = ["CLASSES", "PhantomSet", "draw_phantom", "draw_phantoms"]

# Drawn from streams of their own, so that they never coincide with a regular image.
_CONFLICT_INDEX, _TRUNCATED_INDEX = 1_000_000, 1_000_001


class _Encoding(NamedTuple):
    format: str
    mode: str
    suffix: str


# Image i of class k takes entry i + k: the first image of each class is what the duplicates below are made from.
_ENCODINGS = (
    _Encoding("PNG", "L", "png"),
    _Encoding("JPEG", "L", "jpg"),
    _Encoding("PNG", "RGB", "png"),
    _Encoding("JPEG", "RGB", "jpg"),
    _Encoding("PNG", "RGBA", "png"),
    _Encoding("JPEG", "RGB", "jpeg"),
    _Encoding("BMP", "L", "bmp"),
    _Encoding("TIFF", "L", "tif"),
    _Encoding("PNG", "P", "png"),
    _Encoding("PNG", "L", "jpg"),
)


@dataclass(frozen=True)
class PhantomSet:
    """What was drawn. Paths are relative to ``folder``, with forward slashes.

    Attributes:
        images: path of each sound image, without its duplicates → Pillow's name of its format.
        duplicates: path of each copy → path of the image whose pixels it repeats.
        bad: path of each file that must be refused → the expected reason.
        lesions: path of each sound image with a lesion → its box (x0, y0, x1, y1) in pixels, x1 and y1 exclusive.
    """

    folder: Path
    classes: tuple[str, ...]
    images: dict[str, str] = field(default_factory=dict)
    duplicates: dict[str, str] = field(default_factory=dict)
    bad: dict[str, str] = field(default_factory=dict)
    lesions: dict[str, Box] = field(default_factory=dict)

    @property
    def good(self) -> int:
        """Number of distinct sound images."""
        return len(self.images)


def draw_phantoms(folder: Path, images_per_class: int = 64, seed: int = 0) -> PhantomSet:
    """Write ``folder/<label>/<name>``: sound images of the four classes, copies of some, and files to be refused.

    An image depends on the seed, its class and its index alone, so a larger set begins with the smaller one.

    Raises:
        DataError: fewer than one image per class.
    """
    if images_per_class < 1:
        raise DataError(f"Cannot draw {images_per_class} images per class.", "Ask for one or more.")
    drawn = PhantomSet(folder, CLASSES)
    for position, label in enumerate(CLASSES):
        (folder / label).mkdir(parents=True, exist_ok=True)
        for index in range(images_per_class):
            encoding = _ENCODINGS[(index + position) % len(_ENCODINGS)]
            path = f"{label}/{label}_{index:04d}.{encoding.suffix}"
            pixels, lesion = draw_phantom(label, index, seed)
            (folder / path).write_bytes(_encode(pixels, encoding))
            drawn.images[path] = encoding.format
            if lesion is not None:
                drawn.lesions[path] = lesion
    _add_duplicates(drawn)
    _add_bad_files(drawn, seed)
    return drawn


def _encode(pixels: Pixels, encoding: _Encoding) -> bytes:
    stream = BytesIO()
    options = {"JPEG": {"quality": 92}, "PNG": {"compress_level": 3}}.get(encoding.format, {})
    Image.fromarray(pixels).convert(encoding.mode).save(stream, encoding.format, **options)
    return stream.getvalue()


def _add_duplicates(drawn: PhantomSet) -> None:
    """Repeat the first image of each class: under another name, or as another lossless format."""
    for original in [next(path for path in drawn.images if path.startswith(f"{label}/")) for label in drawn.classes]:
        source = drawn.folder / original
        with Image.open(source) as image:
            other = {"L": "bmp", "RGB": "tif"}[image.mode] if image.format == "PNG" else None
            copy = original.rsplit(".", 1)[0] + (f"_saved_again.{other}" if other else f"_copy{source.suffix}")
            if other:
                image.save(drawn.folder / copy)
            else:
                shutil.copyfile(source, drawn.folder / copy)
        drawn.duplicates[copy] = original


def _add_bad_files(drawn: PhantomSet, seed: int) -> None:
    jpeg, png = _ENCODINGS[1], _ENCODINGS[0]
    whole = _encode(draw_phantom("glioma", _TRUNCATED_INDEX, seed)[0], jpeg)
    disputed = _encode(draw_phantom("meningioma", _CONFLICT_INDEX, seed)[0], png)
    page = b"<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body>Your session has expired.</body></html>\n"
    tiny = _encode(np.arange(0, 256, 4, dtype=np.uint8).reshape(8, 8), png)
    for path, content, reason in (
        ("glioma/transfer_cut_short.jpg", whole[: len(whole) * 6 // 10], "truncated"),
        ("glioma/notes.jpg", b"Follow-up scan to be added on Monday.\n", "not_an_image"),
        ("meningioma/empty.jpg", b"", "empty"),
        ("notumor/portal_page.png", page, "not_an_image"),
        ("notumor/thumbnail.png", tiny, "too_small"),
        ("pituitary/cine.gif", _animation(seed), "unsupported_form"),
        ("glioma/second_opinion.png", disputed, "label_conflict"),
        ("meningioma/second_opinion.png", disputed, "label_conflict"),
    ):
        (drawn.folder / path).write_bytes(content)
        drawn.bad[path] = reason


def _animation(seed: int) -> bytes:
    frames = [
        Image.fromarray(draw_phantom("pituitary", _CONFLICT_INDEX + i, seed)[0]).resize((128, 128)) for i in range(3)
    ]
    stream = BytesIO()
    frames[0].save(stream, "GIF", save_all=True, append_images=frames[1:], duration=120, loop=0)
    return stream.getvalue()
