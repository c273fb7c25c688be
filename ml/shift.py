"""Whether what a served model sees, or what it answers, has shifted from what it was made for.

Answers are tested as Rabanser, Günnemann & Lipton (2019, Failing Loudly, NeurIPS 32, sections 3.1 and 3.2) recommend:
the classifier is the reduction of an image to few dimensions, and its classes (BBSDh) and probabilities (BBSDs) are
compared with those on images that it was not trained on, each dimension by itself. Measures of the images are compared
likewise. The p-values of all tests of one look are adjusted together (Holm, 1979).

Every distance is the largest difference in share between two samples, 0 to 1: of categories the total variation
distance, half the sum of the differences of their shares; of numbers the Kolmogorov-Smirnov statistic.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.special import kolmogorov

from ml.drift import ks_statistic

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["Shift", "holm", "shift_of_probabilities", "shift_of_shares", "shift_of_values", "total_variation"]

#: The smallest p-value is one over so many: small enough for a few dozen tests at one alarm in a thousand.
DIVISIONS = 99_999


class Shift(NamedTuple):
    """How far two samples lie apart, and how often samples of one distribution are at least as far."""

    distance: float
    p_value: float


def total_variation(reference: Sequence[int], current: Sequence[int]) -> float:
    """Half the sum of the differences of shares, of two counts by category, neither of them empty."""
    first, second = (np.asarray(counts, dtype=float) for counts in (reference, current))
    return float(np.abs(first / first.sum() - second / second.sum()).sum() / 2)


def shift_of_shares(
    reference: Sequence[int], current: Sequence[int], seed: int = 0, divisions: int = DIVISIONS
) -> Shift:
    """Compare two counts by category.

    The p-value is that of a permutation test: of all counts together, samples of the current size are drawn at random.
    It holds however small the counts are.

    Args:
        reference: by category.
        current: likewise.
        seed: of the draws.
        divisions: how many of them.
    """
    first, second = (np.asarray(counts, dtype=np.int64) for counts in (reference, current))
    both = first + second
    observed = total_variation(reference, current)
    drawn = np.random.default_rng(seed).multivariate_hypergeometric(both, int(second.sum()), size=divisions)
    distances = np.abs((both - drawn) / first.sum() - drawn / second.sum()).sum(axis=1) / 2
    # The observed division is one of those possible, so that the p-value is never 0 (Phipson & Smyth, 2010).
    # Equal distances may differ in their last digits.
    reached = 1 + int(np.count_nonzero(distances >= observed - 1e-12))
    return Shift(observed, reached / (1 + divisions))


def shift_of_values(reference: NDArray[np.floating], current: NDArray[np.floating]) -> Shift:
    """Compare two samples of numbers, [N] and [M].

    The p-value is that of the statistic's limit (Smirnov, 1948), corrected for small samples (Stephens, 1970, JRSS B
    32(1)). Where values repeat it is too large, never too small.
    """
    statistic = ks_statistic(reference, current)
    size = np.sqrt(len(reference) * len(current) / (len(reference) + len(current)))
    return Shift(statistic, float(kolmogorov((size + 0.12 + 0.11 / size) * statistic)))


def shift_of_probabilities(reference: NDArray[np.floating], current: NDArray[np.floating]) -> Shift:
    """Compare two samples of probabilities, [N, C] and [M, C].

    Returns:
        The class that has shifted most; its p-value is adjusted for the choice among C (Bonferroni).
    """
    shifts = [shift_of_values(first, second) for first, second in zip(reference.T, current.T, strict=True)]
    furthest = min(shifts, key=lambda shift: (shift.p_value, -shift.distance))
    return Shift(furthest.distance, min(1.0, furthest.p_value * len(shifts)))


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values: calling those up to a share significant makes a false call no oftener than that, of any kind."""
    order = np.argsort(p_values, kind="stable")
    factors = np.arange(len(p_values), 0, -1)
    stepped = np.minimum(1.0, np.maximum.accumulate(np.asarray(p_values, dtype=float)[order] * factors))
    adjusted = np.empty(len(p_values))
    adjusted[order] = stepped
    return [float(value) for value in adjusted]
