"""Measures and answers made coarse, so that they tell less of a single image and as much of many.

What is coarse already stays as it is, so that coarse and exact numbers can be compared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["coarse_measure", "coarse_probabilities"]

#: Of grey levels, 0-255, two digits would be 10 levels for bright images and 1 for dark ones.
LEVELS = {"brightness", "contrast"}
#: Exact, which computed powers need not be.
POWERS = np.array([10.0**exponent for exponent in range(19)])


def coarse_measure(name: str, values: ArrayLike) -> NDArray[np.float64]:
    """Whole numbers, and of two significant digits unless they are grey levels; NaN stays.

    Args:
        name: of :data:`ml.measures.PROPERTIES`.
        values: not negative, [N].
    """
    exact = np.asarray(values, dtype=np.float64)
    if name in LEVELS:
        return np.asarray(np.round(exact))
    digits = np.floor(np.log10(np.maximum(np.nan_to_num(exact), 1.0))).astype(np.int64)
    units = POWERS[np.clip(digits - 1, 0, len(POWERS) - 1)]
    return np.asarray(np.round(exact / units) * units)


def coarse_probabilities(probabilities: ArrayLike) -> NDArray[np.float64]:
    """To two decimals: whoever has a picture and the model can compute the exact ones."""
    return np.asarray(np.round(np.asarray(probabilities, dtype=np.float64), 2))
