"""Small pictures of images, for pages that name them."""

from __future__ import annotations

import io
import logging
from typing import TYPE_CHECKING

from PIL import Image

from ml.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ml.storage import Store

__all__ = ["compact_picture", "load_thumbnails", "thumbnail"]

log = logging.getLogger(__name__)

#: Longest side in pixels: sharp at the 96 that a page gives it on most screens, and a few kilobytes.
SIDE = 144
LONGEST_WEBP = 16383


def thumbnail(data: bytes) -> bytes:
    """An image's bytes as a small JPEG.

    Raises:
        OSError: the bytes cannot be decoded.
    """
    with Image.open(io.BytesIO(data)) as image:
        image.draft("RGB", (SIDE, SIDE))
        small = image.convert("RGB")
        small.thumbnail((SIDE, SIDE))
        buffer = io.BytesIO()
        small.save(buffer, "JPEG", quality=80)
        return buffer.getvalue()


def compact_picture(png: bytes, photograph: bool) -> bytes:
    """A PNG as WebP, for a page that carries its pictures: to the bit, or a photograph as it looks.

    One that is longer than WebP can hold stays a PNG.

    Raises:
        OSError: the bytes cannot be decoded.
    """
    with Image.open(io.BytesIO(png)) as image:
        if max(image.size) > LONGEST_WEBP:
            return png
        buffer = io.BytesIO()
        image.convert("RGB").save(buffer, "WEBP", lossless=not photograph, quality=85 if photograph else 80)
        return buffer.getvalue()


def load_thumbnails(store: Store, uris: Mapping[str, object], image_ids: Iterable[str]) -> dict[str, bytes | None]:
    """Thumbnails by image id; None for an image that cannot be shown, which a validation may be about.

    Args:
        store: of the images.
        uris: keys by image id; one may be missing or no string.
        image_ids: which to load.
    """
    return {image_id: _load(store, uris.get(image_id)) for image_id in dict.fromkeys(image_ids)}


def _load(store: Store, uri: object) -> bytes | None:
    if not isinstance(uri, str):
        return None
    try:
        return thumbnail(store.get(uri))
    except (NotFoundError, OSError) as error:
        log.warning("%s cannot be shown: %s", uri, error)
        return None
