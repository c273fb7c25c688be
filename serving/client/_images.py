"""Images as callers have them, made what a signature takes."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from serving.client._errors import InvalidRequestError

__all__ = ["Encoded", "Image", "Images", "Pixels", "as_png", "prepare"]

#: A path, encoded JPEG or PNG bytes, a picture of Pillow's, uint8 [H, W, 3] or [H, W], or float [S, S, 3] in [0, 1].
Image: TypeAlias = str | Path | bytes | PIL.Image.Image | NDArray[Any]
#: One, a sequence of them, or an array with a further leading dimension.
Images: TypeAlias = Image | Sequence[Image]
#: Of Pillow, those that PNG holds without loss and the server decodes as it would the file.
MODES = frozenset({"1", "L", "LA", "P", "RGB", "RGBA", "I;16"})
ARRAYS = (
    "Give uint8 [H, W, 3] or [H, W] with grey levels from 0 to 255, or float [S, S, 3] in [0, 1], S being the model's "
    "own size; several as a list, or as [N, H, W, 3]."
)


@dataclass(frozen=True)
class Encoded:
    """Encoded JPEG or PNG images, for the signatures that decode."""

    images: tuple[bytes, ...]

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True)
class Pixels:
    """float32 [N, S, S, 3] in [0, 1], for ``serving_tensor``."""

    array: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.array)


def prepare(images: Images) -> Encoded | Pixels:
    """Read, check and encode what a caller gave, in its order.

    Arrays of uint8 and Pillow's pictures are sent as PNG, without loss. Floats are sent as they are.

    Raises:
        InvalidRequestError: a file cannot be read, an image is none of these, or floats are mixed with others.
    """
    given = _listed(images)
    floats = [_is_float(image) for image in given]
    if not any(floats):
        return Encoded(tuple(_encoded(image) for image in given))
    if not all(floats):
        raise InvalidRequestError(
            f"Float arrays came together with other images: {sum(floats)} of {len(given)}.",
            "Ask them apart: floats go to a signature of their own.",
        )
    checked = [_checked_floats(image) for image in given]
    shapes = sorted({array.shape for array in checked})
    if len(shapes) > 1:
        raise InvalidRequestError(f"Float images of different shapes came together: {shapes}.", ARRAYS)
    return Pixels(np.stack(checked))


def as_png(image: PIL.Image.Image) -> bytes:
    """Encode without loss, quickly rather than small."""
    stream = io.BytesIO()
    image.save(stream, "PNG", compress_level=1)
    return stream.getvalue()


def _listed(images: Images) -> list[Any]:
    if isinstance(images, np.ndarray):
        return list(images) if images.ndim == 4 else [images]
    return [images] if isinstance(images, str | Path | bytes | PIL.Image.Image) else list(images)


def _is_float(image: Any) -> bool:
    return isinstance(image, np.ndarray) and np.issubdtype(image.dtype, np.floating)


def _encoded(image: Any) -> bytes:
    if isinstance(image, bytes | bytearray | memoryview):
        return bytes(image)
    if isinstance(image, str | Path):
        return _read(Path(image))
    if isinstance(image, PIL.Image.Image):
        return _encode_picture(image)
    if isinstance(image, np.ndarray):
        return _encode_array(image)
    raise InvalidRequestError(
        f"A value of type {type(image).__name__} is no image: {image!r:.80}.",
        "Give a path, encoded bytes, a Pillow image or a NumPy array.",
    )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidRequestError(f"{path} cannot be read: {error}.", "Name a JPEG or PNG file.") from error


def _encode_picture(image: PIL.Image.Image) -> bytes:
    if image.mode not in MODES:
        raise InvalidRequestError(
            f"PNG cannot hold a picture of mode {image.mode} without loss.", 'Convert it: image.convert("RGB").'
        )
    return as_png(image)


def _encode_array(array: NDArray[Any]) -> bytes:
    grey, colour = array.ndim == 2, array.ndim == 3 and array.shape[-1] == 3
    if array.dtype != np.uint8 or not (grey or colour) or 0 in array.shape:
        raise InvalidRequestError(f"An array of {array.dtype} {list(array.shape)} is no image.", ARRAYS)
    return as_png(PIL.Image.fromarray(array))


def _checked_floats(array: NDArray[Any]) -> NDArray[np.float32]:
    if array.ndim != 3 or array.shape[-1] != 3 or array.shape[0] != array.shape[1] or 0 in array.shape:
        raise InvalidRequestError(f"An array of {array.dtype} {list(array.shape)} is no image.", ARRAYS)
    low, high = float(array.min()), float(array.max())
    # NaN compares as false.
    if not (low >= 0 and high <= 1):
        raise InvalidRequestError(f"A float image has values from {low:g} to {high:g}, not in [0, 1].", ARRAYS)
    return array.astype(np.float32)
