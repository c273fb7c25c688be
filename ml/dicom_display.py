"""From stored DICOM values to displayed levels: modality, window, lookup tables, palette (PS3.3, C.7.6.3 and C.11)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from ml.decoding import RefusedImageError, stretch

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

__all__ = ["ELEMENTS", "displayed"]

PALETTES = ("Red", "Green", "Blue")
#: What the functions below read of a data set.
ELEMENTS = (
    *("RescaleSlope", "RescaleIntercept", "ModalityLUTSequence", "PixelPaddingValue", "PixelPaddingRangeLimit"),
    *("WindowCenter", "WindowWidth", "VOILUTFunction", "VOILUTSequence"),
    *(f"{colour}PaletteColorLookupTable{part}" for colour in PALETTES for part in ("Descriptor", "Data")),
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
)
#: Tables of the stored values' display stay small up to this many.
MANY_LEVELS = 2**16


def displayed(stored: np.ndarray, dataset: Dataset, photometric: str, *, little_endian: bool) -> np.ndarray:
    """Stored whole numbers, [H, W] or RGB [H, W, 3], as uint8 [H, W] or RGB [H, W, 3].

    Raises:
        RefusedImageError: unsupported_form or truncated.
    """
    if stored.ndim == 3:
        return _upper_bits(stored, dataset.BitsStored)
    if photometric == "PALETTE COLOR":
        return _coloured(stored, dataset, little_endian=little_endian)
    _gather_macros(dataset)
    levels, index = _levels(stored)
    shown = _shown(levels, dataset, little_endian=little_endian)
    pixels: np.ndarray = (255 - shown if photometric == "MONOCHROME1" else shown)[index]
    return pixels


def _upper_bits(values: np.ndarray, bits: int) -> np.ndarray:
    return (values >> max(bits - 8, 0)).astype(np.uint8)


def _coloured(stored: np.ndarray, dataset: Dataset, *, little_endian: bool) -> np.ndarray:
    """A palette's colours of the stored numbers; where they have 16 bits, the upper 8."""
    if "RedPaletteColorLookupTableData" not in dataset:
        raise RefusedImageError("unsupported_form", "DICOM of PALETTE COLOR without a plain palette")
    bands = []
    for colour in PALETTES:
        name = f"{colour}PaletteColorLookupTable"
        table = _Table(dataset[f"{name}Descriptor"].value, dataset[f"{name}Data"].value, little_endian=little_endian)
        bands.append(_upper_bits(table.look_up(stored.astype(np.int64)), table.bits))
    return np.stack(bands, axis=-1)


def _gather_macros(dataset: Dataset) -> None:
    """Bring up the rescaling and the window that enhanced objects keep in sequences of a frame's properties."""
    for groups in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        for group in (dataset.get(groups) or [])[:1]:
            for macro in ("PixelValueTransformationSequence", "FrameVOILUTSequence"):
                for item in (group.get(macro) or [])[:1]:
                    dataset.update(item)


def _levels(stored: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The different values that are there, ascending, and each pixel's place among them."""
    low, high = int(stored.min()), int(stored.max())
    if high - low >= MANY_LEVELS:
        return np.unique(stored, return_inverse=True)
    # The difference of signed values wraps around; read as unsigned it is right.
    offsets = (stored - stored.dtype.type(low)).view(f"u{stored.itemsize}").astype(np.uint16)
    present = np.zeros(high - low + 1, bool)
    present[offsets] = True
    places = (np.cumsum(present) - 1).astype(np.uint16)
    return np.flatnonzero(present) + low, places[offsets]


def _shown(levels: np.ndarray, dataset: Dataset, *, little_endian: bool) -> np.ndarray:
    """The levels as a viewer would show them, 0-255, before MONOCHROME1 is inverted."""
    values = _rescaled(levels, dataset, little_endian=little_endian)
    if dataset.get("VOILUTSequence"):
        item = dataset.VOILUTSequence[0]
        table = _Table(item.LUTDescriptor, item.LUTData, little_endian=little_endian)
        return stretch(table.look_up(values.astype(np.int64)).astype(np.float64), 0, 2**table.bits - 1)
    window = _window(dataset)
    if window is not None:
        return _windowed(values, *window)
    if dataset.BitsStored == 8 and not dataset.PixelRepresentation and np.array_equal(values, levels):
        return levels.astype(np.uint8)  # as in any other file of 8 bits
    measured = values[~_padding(levels, dataset)]
    measured = measured if measured.size else values
    return stretch(values, float(measured.min()), float(measured.max()))


def _rescaled(levels: np.ndarray, dataset: Dataset, *, little_endian: bool) -> np.ndarray:
    if dataset.get("ModalityLUTSequence"):
        item = dataset.ModalityLUTSequence[0]
        table = _Table(item.LUTDescriptor, item.LUTData, little_endian=little_endian)
        return table.look_up(levels).astype(np.float64)
    slope, intercept = _number(dataset, "RescaleSlope"), _number(dataset, "RescaleIntercept")
    with np.errstate(over="ignore", invalid="ignore"):
        values = levels * (1.0 if slope is None else slope) + (intercept or 0.0)
    if not np.abs(values).max() < 2**62:
        raise RefusedImageError("truncated", "RescaleSlope and RescaleIntercept give no usable values")
    rescaled: np.ndarray = values
    return rescaled


def _number(dataset: Dataset, keyword: str) -> float | None:
    """The element's number, or the first of several."""
    value = dataset.get(keyword)
    if value is None or value == "":
        return None
    return float(value) if isinstance(value, int | float) else float(value[0]) if len(value) else None


def _window(dataset: Dataset) -> tuple[float, float, str] | None:
    """Centre, width and function of the first window; None where there is none that shows anything."""
    center, width = _number(dataset, "WindowCenter"), _number(dataset, "WindowWidth")
    function = str(dataset.get("VOILUTFunction") or "LINEAR").strip()
    if function not in {"LINEAR", "LINEAR_EXACT", "SIGMOID"}:
        raise RefusedImageError("unsupported_form", "DICOM with an unknown VOI LUT function")
    if center is None or width is None or not (math.isfinite(center) and math.isfinite(width)):
        return None
    return (center, width, function) if width >= (1 if function == "LINEAR" else np.finfo(float).eps) else None


def _windowed(values: np.ndarray, center: float, width: float, function: str) -> np.ndarray:
    """PS3.3, C.11.2.1.2 and C.11.2.1.3, onto 0-255."""
    if function == "SIGMOID":
        exponents = np.clip(-4 * (values - center) / width, -700, 700)  # exp stays finite
        return stretch(1 / (1 + np.exp(exponents)), 0, 1)
    if function == "LINEAR":
        center, width = center - 0.5, width - 1
    if width == 0:
        return np.where(values > center, 255, 0).astype(np.uint8)
    return stretch((values - center) / width, -0.5, 0.5)


def _padding(levels: np.ndarray, dataset: Dataset) -> np.ndarray:
    """Which levels only fill up the frame."""
    first = dataset.get("PixelPaddingValue")
    last = dataset.get("PixelPaddingRangeLimit")
    if not isinstance(first, int):
        return np.zeros(levels.shape, bool)
    ends = sorted((first, last if isinstance(last, int) else first))
    return (levels >= ends[0]) & (levels <= ends[1])


class _Table:
    """A lookup table: its number of entries (0 for 65536), the value mapped first, the bits of an entry."""

    def __init__(self, descriptor: list[int], data: bytes | list[int] | int, *, little_endian: bool) -> None:
        entries, self._first, self.bits = (int(value) for value in descriptor)
        entries = entries or 2**16
        if isinstance(data, bytes):
            # Entries of 8 bits lie in bytes, or in words like the wider ones.
            octets = self.bits <= 8 and len(data) < 2 * entries
            values = np.frombuffer(data, "u1" if octets else "<u2" if little_endian else ">u2")
        else:
            values = np.atleast_1d(np.asarray(data, np.int64))
        if not 1 <= self.bits <= 16 or not 0 < entries <= len(values):
            raise RefusedImageError("truncated", "a DICOM lookup table is shorter than it says")
        self._values = values[:entries].astype(np.int64)

    def look_up(self, values: np.ndarray) -> np.ndarray:
        """The entry of each whole number; below the first and beyond the last, those."""
        entries: np.ndarray = self._values[np.clip(values - self._first, 0, len(self._values) - 1)]
        return entries
