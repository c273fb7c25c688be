"""How far two samples lie apart: measures of drift, each with what chance alone explains."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["TwoSampleTest", "ks_noise", "ks_statistic", "mmd_test", "psi", "psi_noise"]

#: Share of unchanged samples that a limit set to the noise would still call drifted.
FALSE_ALARMS = 0.001
PERMUTATIONS = 999


@dataclass(frozen=True)
class TwoSampleTest:
    """A permutation test's outcome; ``p_value`` is the share of random divisions at least as far apart."""

    statistic: float
    p_value: float
    reference: int
    current: int


def psi(reference: Sequence[int], current: Sequence[int]) -> float:
    """Population stability index of two counts by category: 0 when the shares are equal, without an upper end.

    Half a count is added to each category, so that one which is empty on one side gives a finite number
    (Siddiqi, 2006, Credit Risk Scorecards, chapter 6: below 0.1 stable, above 0.25 shifted).
    """
    first, second = (np.asarray(counts, dtype=float) + 0.5 for counts in (reference, current))
    expected, actual = first / first.sum(), second / second.sum()
    return float(((actual - expected) * np.log(actual / expected)).sum())


def psi_noise(categories: int, reference: int, current: int) -> float:
    """The index that samples of one distribution exceed in one case of a thousand.

    Times ``1 / (1 / reference + 1 / current)`` the index follows chi-squared with ``categories - 1`` degrees of
    freedom (Yurdakul & Naranjo, 2020, Journal of Risk Model Validation 14(4)); the quantile is Wilson's and
    Hilferty's (1931).
    """
    if categories < 2:
        return 0.0
    degrees = categories - 1
    spread = 2 / (9 * degrees)
    quantile = degrees * (1 - spread + NormalDist().inv_cdf(1 - FALSE_ALARMS) * math.sqrt(spread)) ** 3
    return quantile * (1 / reference + 1 / current)


def ks_statistic(reference: np.ndarray, current: np.ndarray) -> float:
    """Kolmogorov-Smirnov statistic: largest difference of two samples' cumulative shares, 0 to 1 (Smirnov, 1939)."""
    first, second = np.sort(reference), np.sort(current)
    values = np.concatenate([first, second])
    shares = (np.searchsorted(sample, values, side="right") / len(sample) for sample in (first, second))
    return float(np.abs(np.subtract(*shares)).max())


def ks_noise(reference: int, current: int) -> float:
    """The statistic that samples of one distribution exceed in at most one case of a thousand (Smirnov, 1948)."""
    return math.sqrt(-math.log(FALSE_ALARMS / 2) / 2 * (1 / reference + 1 / current))


def mmd_test(
    reference: np.ndarray, current: np.ndarray, seed: int = 0, permutations: int = PERMUTATIONS
) -> TwoSampleTest:
    """Test whether two sets of vectors come from one distribution.

    The statistic is the unbiased squared maximum mean discrepancy under a Gaussian kernel as wide as the median
    distance, its distribution that of random divisions of all vectors (Gretton et al., 2012, JMLR 13, sections 2.2, 5
    and 8). Time and memory grow with the square of the number of vectors.

    Args:
        reference: [N, D], N of 2 or more.
        current: [M, D], M of 2 or more.
        seed: of the divisions.
        permutations: how many of them.
    """
    kernel = _gaussian_kernel(np.concatenate([reference, current]).astype(np.float64))
    sizes = len(reference), len(current)
    generator = np.random.default_rng(seed)
    order = generator.permuted(np.tile(np.arange(sum(sizes)), (permutations, 1)), axis=1)
    divisions = np.vstack([np.arange(sum(sizes)), order]) < sizes[0]
    observed, *random = _mmd_squared(kernel, divisions.T.astype(np.float64), *sizes)
    # The observed division is one of those possible, so that the p-value is never 0 (Phipson & Smyth, 2010).
    p_value = (1 + np.count_nonzero(np.asarray(random) >= observed)) / (1 + permutations)
    return TwoSampleTest(float(observed), float(p_value), *sizes)


def _gaussian_kernel(vectors: np.ndarray) -> np.ndarray:
    """[K, K], with zeros on the diagonal: a vector's likeness to itself says nothing."""
    norms = (vectors**2).sum(axis=1)
    squared = np.maximum(norms[:, None] + norms[None, :] - 2 * vectors @ vectors.T, 0)
    median = float(np.median(squared[np.triu_indices(len(vectors), 1)]))
    kernel: np.ndarray = np.exp(-squared / (2 * median)) if median > 0 else (squared == 0).astype(np.float64)
    np.fill_diagonal(kernel, 0)
    return kernel


def _mmd_squared(kernel: np.ndarray, divisions: np.ndarray, reference: int, current: int) -> np.ndarray:
    """The statistic of each division, a column of [K, P] with ones at the reference's vectors."""
    within_reference = (divisions * (kernel @ divisions)).sum(axis=0)
    between = kernel.sum(axis=1) @ divisions - within_reference
    within_current = kernel.sum() - within_reference - 2 * between
    return np.asarray(
        within_reference / (reference * (reference - 1))
        + within_current / (current * (current - 1))
        - 2 * between / (reference * current)
    )
