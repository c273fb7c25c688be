"""What the decoders of images share: refusals, limits, the stretch over 8 bits, and quiet libraries."""

from __future__ import annotations

import logging
import re
import struct
import threading
import warnings
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

import numpy as np

if TYPE_CHECKING:
    from ml.config import ImageSettings

__all__ = ["DAMAGED", "QUIET_PILLOW", "Quiet", "RefusedImageError", "check_size", "stretch"]

#: What the libraries' parsers raise for files that begin well and go on badly: fuzzing found most of these.
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


class Quiet:
    """A context in which one library neither warns nor logs; other libraries' warnings are as before.

    Python keeps one list of warning filters for all threads. The first thread that comes in adds a filter and the
    last one that leaves takes it out: ``warnings.catch_warnings`` in each thread would mix them up, and takes longer.

    Args:
        library: its top package.
        logs: whether it logs what it warns of. Changing a level is slow where there are many loggers.
    """

    def __init__(self, library: str, *, logs: bool = False) -> None:
        self._filter = ("ignore", None, Warning, re.compile(rf"{re.escape(library)}(\.|$)"), 0)
        self._logger = logging.getLogger(library) if logs else None
        self._level = logging.NOTSET
        self._lock = threading.Lock()
        self._inside = 0

    def __enter__(self) -> None:
        with self._lock:
            self._inside += 1
            if self._inside == 1:
                cast("list[Any]", warnings.filters).insert(0, self._filter)
                if self._logger:
                    self._level = self._logger.level
                    self._logger.setLevel(logging.CRITICAL + 1)

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                with suppress(ValueError):  # someone has put another list in place
                    cast("list[Any]", warnings.filters).remove(self._filter)
                if self._logger:
                    self._logger.setLevel(self._level)


#: One for all who decode with Pillow, so that its filter is there once.
QUIET_PILLOW = Quiet("PIL")


def check_size(width: int, height: int, settings: ImageSettings) -> None:
    """Refuse an image by the size that its header gives, before anything is decoded.

    Raises:
        RefusedImageError: too_many_pixels or too_small.
    """
    if width * height > settings.max_pixels:
        raise RefusedImageError("too_many_pixels", f"{width}x{height}, at most {settings.max_pixels} pixels")
    if min(width, height) < settings.min_side:
        raise RefusedImageError("too_small", f"{width}x{height}, at least {settings.min_side} a side")


def stretch(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Float values as uint8: ``low`` and what is below is 0, ``high`` and what is above 255."""
    if not high > low:
        return np.zeros(values.shape, np.uint8)
    scaled: np.ndarray = np.clip((values - low) * (255.0 / (high - low)), 0, 255).round().astype(np.uint8)
    return scaled
