"""Pictures without TensorFlow."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

__all__ = ["draw"]


def draw(seed: int, size: int = 48, form: str = "PNG") -> bytes:
    """Seeded noise."""
    stream = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(stream, form)
    return stream.getvalue()
