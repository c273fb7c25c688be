"""Looking at one image: refuse it with a reason, or measure, hash and canonicalise it."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import cv2
import numpy as np
import simplejpeg
from PIL import Image, ImageOps, UnidentifiedImageError

from ml.decoding import DAMAGED, QUIET_PILLOW, RefusedImageError, check_size, stretch
from ml.dicom import decode_dicom, is_dicom

if TYPE_CHECKING:
    from ml.config import ImageSettings

__all__ = ["InspectedImage", "RefusedImageError", "inspect_image", "pixel_id_of"]

#: Endings of stored files, and what TensorFlow decodes to Pillow's pixels (JPEG to a few grey levels).
EXTENSIONS = {"JPEG": "jpg", "PNG": "png", "TIFF": "tiff", "BMP": "bmp", "WEBP": "webp", "DICOM": "dcm"}
PLAIN_MODES = {"JPEG": {"L", "RGB"}, "PNG": {"L", "RGB"}}
START_OF_JPEG, START_OF_SCAN = b"\xff\xd8\xff", b"\xff\xda"
#: Exif and XMP, which may turn an image, and the table of several pictures.
MORE_THAN_PIXELS = (b"\xff\xe1", b"MPF\0")
#: Colours of JPEG files: what to decode them to, and its channels.
JPEG_COLOURS = {"Gray": ("GRAY", 1), "YCbCr": ("RGB", 3), "RGB": ("RGB", 3)}
EXIF_ORIENTATION = 0x0112
#: Orientations other than upright, and where Pillow keeps what tells them, besides TIFF's own tags.
TURNED = range(2, 9)
ORIENTED = {"exif", "Raw profile type exif", "XML:com.adobe.xmp", "xmp"}
#: Bytes by which Pillow's plugins know their formats.
LONGEST_MARK = 16
#: Side of the grey image that the perceptual hash is of, pixels: imagehash's own.
HASHED_SIDE = 32
#: The lowest 8 frequencies of its cosine transform.
COSINES = 2 * np.cos(np.pi * np.outer(np.arange(8), np.arange(1, 2 * HASHED_SIDE, 2)) / (2 * HASHED_SIDE))


@dataclass(frozen=True)
class InspectedImage:
    """What ingest knows of an accepted image.

    ``canonical_png`` is None when the original bytes are what training reads. Brightness (mean) and contrast
    (standard deviation) are of grey levels, 0-255; sharpness is the variance of their Laplacian
    (Pech-Pacheco et al., 2000). The perceptual hash is imagehash's ``phash`` of the grey image, averaged over areas
    down to 32x32. ``patient`` is whose picture a DICOM file says it is: for grouping in memory, never to be written.
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


@dataclass(frozen=True)
class _Decoded:
    """An image the right way up, uint8 [H, W] or [H, W, 3]; ``plain`` where training can read the original."""

    pixels: np.ndarray
    channels: int
    format: str
    plain: bool = False
    patient: str | None = field(default=None, repr=False)


def inspect_image(data: bytes, settings: ImageSettings) -> InspectedImage:
    """Decode an object's bytes completely and describe them.

    Raises:
        RefusedImageError: with one of the reasons empty, too_many_bytes, not_an_image, unsupported_form,
            too_many_pixels, too_small or truncated.
    """
    decoded = _decode(data, settings)
    pixels, grey = _colours(decoded.pixels)
    brightness, contrast = (float(value[0, 0]) for value in cv2.meanStdDev(grey))
    return InspectedImage(
        image_id=hashlib.sha256(data).hexdigest(),
        pixel_id=_pixel_id(pixels),
        width=pixels.shape[1],
        height=pixels.shape[0],
        channels=decoded.channels,
        format=decoded.format,
        extension=EXTENSIONS.get(decoded.format, decoded.format.lower()),
        perceptual_hash=_perceptual_hash(grey),
        brightness=brightness,
        contrast=contrast,
        sharpness=_sharpness(grey),
        canonical_png=None if decoded.plain else _png(decoded.pixels),
        patient=decoded.patient,
    )


def pixel_id_of(data: bytes, settings: ImageSettings) -> str | None:
    """SHA-256 of an object's decoded pixels, however small it is; None when it cannot be decoded."""
    try:
        return _pixel_id(_colours(_decode(data, settings.model_copy(update={"min_side": 1})).pixels)[0])
    except RefusedImageError:
        return None


def _decode(data: bytes, settings: ImageSettings) -> _Decoded:
    if not data:
        raise RefusedImageError("empty", "0 bytes")
    if len(data) > settings.max_bytes:
        raise RefusedImageError("too_many_bytes", f"{len(data)} bytes, at most {settings.max_bytes}")
    if "DICOM" in settings.formats and is_dicom(data):
        shown = decode_dicom(data, settings)
        return _Decoded(shown.pixels, shown.channels, "DICOM", patient=shown.patient)
    if "JPEG" in settings.formats:
        decoded = _flawless_jpeg(data, settings)
        if decoded is not None:
            return decoded
    with QUIET_PILLOW:
        return _load(_open(data, settings))


def _open(data: bytes, settings: ImageSettings) -> Image.Image:
    tried = [name for name in settings.formats if name != "DICOM"]
    try:
        # A GIF is known, to be refused for what it is.
        image = Image.open(io.BytesIO(data), formats=(*tried, "GIF"))
        _check_frames(image)
    except UnidentifiedImageError as error:
        broken = _broken_header(data, tried)
        if broken:
            raise RefusedImageError("truncated", broken) from error
        raise RefusedImageError("not_an_image", f"none of {', '.join(settings.formats)}") from error
    except Image.DecompressionBombError as error:
        raise RefusedImageError("too_many_pixels", str(error)) from error
    except DAMAGED as error:
        raise RefusedImageError("truncated", str(error)) from error
    check_size(*image.size, settings)
    return image


def _broken_header(data: bytes, names: list[str]) -> str | None:
    """What is wrong with the header of data that begin like a format: Pillow takes them for no image at all."""
    for name in names:
        parse, has_mark = Image.OPEN[name.upper()]
        if has_mark and has_mark(data[:LONGEST_MARK]):
            try:
                parse(io.BytesIO(data), "")
            except DAMAGED as error:
                return f"begins like {name}, but its header cannot be read: {error}"
    return None


def _check_frames(image: Image.Image) -> None:
    if image.format == "GIF":
        raise RefusedImageError("unsupported_form", "GIF")
    # MPO is a JPEG with more pictures behind it, previews and depths mostly: readers of JPEG see the first.
    if image.format != "MPO" and getattr(image, "is_animated", False):
        raise RefusedImageError("unsupported_form", f"{image.format} with several frames")


def _flawless_jpeg(data: bytes, settings: ImageSettings) -> _Decoded | None:
    """What Pillow would decode, by the same library without the copies in between: half of its time.

    None where that does not suit, or where the file has any flaw: then Pillow says what is to become of it.
    """
    headers = data[: data.find(START_OF_SCAN)]
    if not data.startswith(START_OF_JPEG) or any(mark in headers for mark in MORE_THAN_PIXELS):
        return None
    try:
        height, width, space, _ = simplejpeg.decode_jpeg_header(data)
        if space not in JPEG_COLOURS:
            return None
        check_size(width, height, settings)
        colours, channels = JPEG_COLOURS[space]
        # Into a buffer: a file with two headers gets no more memory than was checked.
        pixels = simplejpeg.decode_jpeg(data, colours, buffer=np.empty((height, width, channels), np.uint8))
    except ValueError:
        return None
    return _Decoded(pixels.squeeze(-1) if channels == 1 else pixels, channels, "JPEG", plain=True)


def _load(image: Image.Image) -> _Decoded:
    format_name = "JPEG" if image.format == "MPO" else str(image.format)
    channels = len(image.getbands())
    try:
        image.load()
        turned = _orientation(image) in TURNED
        upright = ImageOps.exif_transpose(image) if turned else image
    except DAMAGED as error:
        raise RefusedImageError("truncated", str(error)) from error
    plain = image.mode in PLAIN_MODES.get(format_name, ()) and not turned
    return _Decoded(np.asarray(_to_eight_bits(upright)), channels, format_name, plain)


def _orientation(image: Image.Image) -> int:
    # Most images have none of these; looking for their orientation takes time nevertheless.
    told = image.format == "TIFF" or not ORIENTED.isdisjoint(image.info)
    return int(image.getexif().get(EXIF_ORIENTATION, 1)) if told else 1


def _to_eight_bits(image: Image.Image) -> Image.Image:
    """Mode L or RGB of any mode."""
    if image.mode in {"L", "RGB"}:
        return image
    if image.mode.startswith(("I", "F")):
        return Image.fromarray(_stretched(np.asarray(image)))
    if image.mode in {"1", "LA", "La"}:
        return image.convert("L")
    # Alpha is dropped, not composed: medical files carry it by accident and hide nothing under it.
    return image.convert("RGBA").convert("RGB") if image.mode in {"P", "PA"} else image.convert("RGB")


def _stretched(values: np.ndarray) -> np.ndarray:
    """16 bits and more: the range that is there, stretched over 8 bits."""
    if values.dtype.itemsize == 2:
        table = stretch(np.arange(2**16, dtype=np.float64), float(values.min()), float(values.max()))
        looked_up: np.ndarray = table[values]
        return looked_up
    with np.errstate(invalid="ignore"):  # signalling NaNs
        values = values.astype(np.float64)
    finite = values[np.isfinite(values)]  # floats mark what was not measured by NaN
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    return stretch(np.nan_to_num(values, nan=low, posinf=high, neginf=low), low, high)


def _colours(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """RGB [H, W, 3] and grey [H, W] of either."""
    if pixels.ndim == 2:
        return cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB), pixels
    return pixels, cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)


def _pixel_id(pixels: np.ndarray) -> str:
    digest = hashlib.sha256(f"{pixels.shape}".encode())
    digest.update(pixels.data)
    return digest.hexdigest()


def _perceptual_hash(grey: np.ndarray) -> str:
    """What ``imagehash.phash`` gives for the reduced image, in a tenth of its time."""
    small = cv2.resize(grey, (HASHED_SIDE, HASHED_SIDE), interpolation=cv2.INTER_AREA)
    low = (COSINES @ small @ COSINES.T).ravel()
    ordered = low.copy()
    ordered.sort()
    median = (ordered[31] + ordered[32]) / 2
    # Frequencies that are absent from flat images are not above the median by rounding.
    return np.packbits(low > median + 1e-6).tobytes().hex()


def _sharpness(grey: np.ndarray) -> float:
    # Sums of whole numbers are exact, so the difference of the mean square and the squared mean loses nothing.
    laplacian = cv2.Laplacian(grey, cv2.CV_16S)
    mean = cv2.sumElems(laplacian)[0] / grey.size
    return float(cv2.norm(laplacian, cv2.NORM_L2SQR) / grey.size - mean**2)


def _png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()
