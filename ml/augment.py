"""Views: an image seen a little differently, always in the same ways, so that its feature maps can be cached.

Random augmentation in every epoch would send every image through the backbones in every epoch. A fixed number of views
costs as many backbone passes, once.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from ml.config import AugmentSettings

__all__ = ["make_view", "original", "view_id"]


def view_id(image_id: str, number: int, settings: AugmentSettings) -> str:
    """Under which a view's feature map is cached; 0 is the image itself.

    Args:
        image_id: of the image.
        number: of the view.
        settings: how far views may go: views of other settings are others.
    """
    if number == 0:
        return image_id
    decisive = json.dumps(settings.model_dump(exclude={"views"}), sort_keys=True)
    return f"{image_id}+{hashlib.sha256(decisive.encode()).hexdigest()[:8]}.{number}"


def original(name: str) -> str:
    """The image of a row of the cache, which may be of a view of it."""
    return name.split("+", 1)[0]


def make_view(pixels: np.ndarray, name: str, settings: AugmentSettings) -> np.ndarray:
    """Turn, zoom, brighten and, where that is allowed, mirror an image, as its view's name decides.

    Args:
        pixels: float32 [size, size, 3] in [0, 1].
        name: from :func:`view_id`; seeds the choice, so that a view is the same wherever it is made.
        settings: the largest changes; each is drawn evenly up to them.

    Returns:
        float32 [size, size, 3] in [0, 1]; what comes in at the edges repeats the edge.
    """
    generator = np.random.default_rng(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big"))
    angle, zoom, brightness = generator.uniform(-1, 1, 3)
    size = pixels.shape[0]
    centre = ((size - 1) / 2, (size - 1) / 2)
    turn = cv2.getRotationMatrix2D(centre, angle * settings.rotation_degrees, 1 + zoom * settings.zoom)
    moved = cv2.warpAffine(pixels, turn, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    if settings.flip and generator.random() < 0.5:
        moved = moved[:, ::-1]
    brightened: np.ndarray = np.clip(moved * np.float32(1 + brightness * settings.brightness), 0, 1)
    return brightened.astype(np.float32)
