"""Between which curves the curve of all images of a kind may lie, given that of the test images: 95 % at each point."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ml.bootstrap import Draws
from ml.metrics import BINS, confidence_bins, cumulative_counts

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["GRID", "class_curve_bands", "reliability_bands"]

#: Where curves are compared: false positive rates, and recalls.
GRID = np.linspace(0, 1, 101)
ENDS = (0.025, 0.975)
#: More than nothing: a precision needs an image that is found.
TINY = 1e-9
#: Samples for what is only drawn.
RESAMPLES = 500


def class_curve_bands(
    positive: np.ndarray, scores: np.ndarray, groups: Sequence[str]
) -> tuple[np.ndarray, np.ndarray] | None:
    """For the curves of one class against all others.

    Args:
        positive: bool [N], whether an image is of the class.
        scores: float [N].
        groups: [N], of the images; drawn whole.

    Returns:
        Lower and upper ends [2, 101] of the recall at each false positive rate, and of the precision at each recall.
        None where the images are of one group, or all of the class or none.
    """
    draws = Draws(groups, RESAMPLES)
    if draws.distinct < 2 or positive.all() or not positive.any():
        return None
    by_weight = cumulative_counts(positive, scores)
    recalls, precisions = [], []
    for weights in draws.weights():
        true, false = by_weight(weights)
        both = (true[:, -1] > 0) & (false[:, -1] > 0)  # a sample may have one kind only
        for hits, alarms in zip(true[both], false[both], strict=True):
            recall, rate = (np.r_[0, counts / counts[-1]] for counts in (hits, alarms))
            recalls.append(np.interp(GRID, rate, recall))
            first = np.searchsorted(recall[1:], GRID.clip(min=TINY), side="left")
            precisions.append((hits / (hits + alarms).clip(min=TINY))[first.clip(max=len(hits) - 1)])
    return np.quantile(recalls, ENDS, axis=0), np.quantile(precisions, ENDS, axis=0)


def reliability_bands(right: np.ndarray, confidence: np.ndarray, groups: Sequence[str]) -> np.ndarray:
    """For the share of right answers in each bin of confidence.

    Args:
        right: bool [N].
        confidence: float [N], the probability of the answer.
        groups: [N], of the images; drawn whole.

    Returns:
        Lower and upper ends [2, BINS]; NaN where a bin is empty, or the images are of one group.
    """
    draws = Draws(groups, RESAMPLES)
    ends = np.full((2, BINS), np.nan)
    if draws.distinct < 2:
        return ends
    inside = confidence_bins(confidence)[:, None] == np.arange(BINS)
    filled = np.flatnonzero(inside.any(axis=0))
    sums = draws.sums(np.hstack([inside[:, filled], inside[:, filled] & right[:, None]]).astype(float))
    with np.errstate(invalid="ignore"):  # a sample may have no image in a bin
        shares = sums[:, len(filled) :] / sums[:, : len(filled)]
    ends[:, filled] = np.nanquantile(shares, ENDS, axis=0)
    return ends
