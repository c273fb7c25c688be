"""Looking at one image: refuse it with a reason, or measure, hash and canonicalise it."""

from __future__ import annotations

import hashlib
import io
import struct
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import cv2
import imagehash
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

if TYPE_CHECKING:
    from ml.config import ImageSettings

__all__ = ["InspectedImage", "RefusedImageError", "inspect_image"]

#: Endings of stored files, and what TensorFlow decodes to Pillow's pixels (JPEG to a few grey levels).
EXTENSIONS = {"JPEG": "jpg", "PNG": "png", "TIFF": "tiff", "BMP": "bmp", "WEBP": "webp"}
PLAIN_MODES = {"JPEG": {"L", "RGB"}, "PNG": {"L", "RGB"}}
EXIF_ORIENTATION = 0x0112
#: What Pillow's parsers raise for files that begin well and go on badly: fuzzing found most of these.
DAMAGED = (
    ArithmeticError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
)


class RefusedImageError(Exception):
    """An object that is not an acceptable image; ``reason`` is the quarantine's code."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True)
class InspectedImage:
    """What ingest knows of an accepted image.

    ``canonical_png`` is None when the original bytes are what training reads. Brightness (mean) and contrast
    (standard deviation) are of grey levels, 0-255; sharpness is the variance of their Laplacian
    (Pech-Pacheco et al., 2000).
    """

    image_id: str
    pixel_id: str
    width: int
    height: int
    channels: int
    format: str
    extension: str
    perceptual_hash: str
    brightness: float
    contrast: float
    sharpness: float
    canonical_png: bytes | None
    patient: str | None = field(default=None, repr=False)


def inspect_image(data: bytes, settings: ImageSettings) -> InspectedImage:
    """Decode an object's bytes completely and describe them.

    Raises:
        RefusedImageError: with one of the reasons empty, too_many_bytes, not_an_image, unsupported_form,
            too_many_pixels, too_small or truncated.
    """
    image = _open(data, settings)
    format_name = str(image.format)
    channels = len(image.getbands())
    upright, turned = _decode(image)
    plain = image.mode in PLAIN_MODES.get(format_name, ()) and not turned
    rgb = _to_rgb(upright)
    pixels = np.asarray(rgb)
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    return InspectedImage(
        image_id=hashlib.sha256(data).hexdigest(),
        pixel_id=_pixel_id(pixels),
        width=rgb.width,
        height=rgb.height,
        channels=channels,
        format=format_name,
        extension=EXTENSIONS.get(format_name, format_name.lower()),
        perceptual_hash=str(imagehash.phash(rgb)),
        brightness=float(grey.mean()),
        contrast=float(grey.std()),
        sharpness=float(cv2.Laplacian(grey, cv2.CV_64F).var()),
        canonical_png=None if plain else _png(rgb),
    )


def _open(data: bytes, settings: ImageSettings) -> Image.Image:
    if not data:
        raise RefusedImageError("empty", "0 bytes")
    if len(data) > settings.max_bytes:
        raise RefusedImageError("too_many_bytes", f"{len(data)} bytes, at most {settings.max_bytes}")
    try:
        with warnings.catch_warnings():
            # Pillow warns of large images; the cap below is the one that counts.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data), formats=(*settings.formats, "GIF"))
        _check_form(image, settings)  # counting frames reads on
    except UnidentifiedImageError as error:
        raise RefusedImageError("not_an_image", f"none of {', '.join(settings.formats)}") from error
    except Image.DecompressionBombError as error:
        raise RefusedImageError("too_many_pixels", str(error)) from error
    except DAMAGED as error:
        raise RefusedImageError("truncated", str(error)) from error
    return image


def _check_form(image: Image.Image, settings: ImageSettings) -> None:
    width, height = image.size
    if image.format == "GIF" or getattr(image, "n_frames", 1) > 1:
        raise RefusedImageError("unsupported_form", f"{image.format} with {getattr(image, 'n_frames', 1)} frame(s)")
    if width * height > settings.max_pixels:
        raise RefusedImageError("too_many_pixels", f"{width}x{height}, at most {settings.max_pixels} pixels")
    if min(width, height) < settings.min_side:
        raise RefusedImageError("too_small", f"{width}x{height}, at least {settings.min_side} a side")


def _decode(image: Image.Image) -> tuple[Image.Image, bool]:
    """The whole image the right way up, and whether it had to be turned."""
    try:
        image.load()
        turned = image.getexif().get(EXIF_ORIENTATION, 1) != 1
        return ImageOps.exif_transpose(image), turned
    except DAMAGED as error:
        raise RefusedImageError("truncated", str(error)) from error


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith(("I", "F")):  # 16 bits and more: the range that is there, stretched over 8 bits
        values = np.asarray(image, dtype=np.float64)
        finite = values[np.isfinite(values)]  # floats mark what was not measured by NaN
        low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
        values = np.nan_to_num(values, nan=low, posinf=high, neginf=low)
        scaled = (values - low) * (255.0 / (high - low)) if high > low else np.zeros_like(values)
        image = Image.fromarray(scaled.round().astype(np.uint8))
    # Alpha is dropped, not composed: medical files carry it by accident and hide nothing under it.
    return image.convert("RGBA").convert("RGB") if image.mode in {"P", "PA", "LA"} else image.convert("RGB")


def _pixel_id(pixels: np.ndarray) -> str:
    digest = hashlib.sha256(f"{pixels.shape}".encode())
    digest.update(np.ascontiguousarray(pixels).tobytes())
    return digest.hexdigest()


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()
