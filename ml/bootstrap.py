"""The bootstrap over groups: how far a figure of the test images would move with other images of the same kind.

Images of one patient, or of nearly the same picture, say less than as many images of different ones, so groups are
drawn whole, with replacement (the cluster bootstrap: Field & Welsh, 2007). Whatever can be computed from sums over
images, a confusion matrix for one, is computed from the sums of each sample.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse
from scipy.special import ndtr, ndtri, stdtr, stdtrit

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["RESAMPLES", "Draws", "contracted_share", "expanded_share", "interval", "mean_interval"]

#: Samples that are drawn: the ends of an interval are then known to a twentieth of its width.
RESAMPLES = 2000
#: Numbers that are in memory at once.
CELLS = 2**22


class Draws:
    """Samples of groups, as many groups in each as there are, the same whenever they are drawn.

    Args:
        groups: [N], the group of each image.
        resamples: how many samples.
        seed: of the draws.

    Attributes:
        distinct: how many groups there are.
    """

    def __init__(self, groups: Sequence[str], resamples: int = RESAMPLES, seed: int = 0) -> None:
        names, self._members = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
        self.distinct = len(names)
        self._resamples, self._seed = resamples, seed

    def sums(self, values: Any) -> np.ndarray:
        """Sums over the images of each sample.

        Args:
            values: [N, K], an array or a sparse one: what is summed.

        Returns:
            float64 [resamples, K].
        """
        count = len(self._members)
        places = (self._members, np.arange(count))
        by_group = sparse.csr_array((np.ones(count), places), (self.distinct, count)) @ values
        return np.concatenate([np.asarray(times @ by_group) for times in self._times(self.distinct)])

    def weights(self) -> Iterator[np.ndarray]:
        """How often each image is in each sample, a number of samples at a time: float64 [B, N]."""
        return (times[:, self._members] for times in self._times(len(self._members)))

    def _times(self, width: int) -> Iterator[np.ndarray]:
        """How often each group is drawn, in blocks of samples that fit into memory with so many numbers each."""
        generator = np.random.default_rng(self._seed)
        block = max(1, CELLS // max(width, 1))
        for start in range(0, self._resamples, block):
            size = min(block, self._resamples - start)
            yield generator.multinomial(self.distinct, np.full(self.distinct, 1 / self.distinct), size).astype(float)


def interval(values: np.ndarray) -> list[float] | None:
    """The middle 95 % of a figure's values in the samples (the percentile interval: Efron & Tibshirani, 1993, ch. 13).

    Samples in which the figure means nothing are NaN, and left out; None where it means nothing in any.
    """
    known = values[~np.isnan(values)]
    if not len(known):
        return None
    low, high = np.quantile(known, (0.025, 0.975))
    return [float(low), float(high)]


def expanded_share(share: float, freedom: int) -> float:
    """How far out in the samples a tail begins that is to hold a share, given so many degrees of freedom.

    Samples vary too little, by a variance divided by n and not by n - 1, and as if that were known (Hesterberg, 2015).
    """
    return float(ndtr(stdtrit(freedom, share) * _expansion(freedom)))


def contracted_share(share: float, freedom: int) -> float:
    """The share that a tail of the samples really stands for: the inverse of :func:`expanded_share`."""
    return float(stdtr(freedom, ndtri(share) / _expansion(freedom)))


def _expansion(freedom: int) -> float:
    """What a sample's standard deviation lacks."""
    return float(np.sqrt(1 + 1 / freedom))


def mean_interval(values: np.ndarray, draws: Draws) -> list[float] | None:
    """The interval of a mean over images, float or bool [N]; None where all images are of one group.

    It is expanded, as few groups need it: see :func:`expanded_share`.
    """
    if draws.distinct < 2:
        return None
    sums = draws.sums(np.stack([values, np.ones(len(values))], axis=1).astype(float))
    beyond = expanded_share(0.025, draws.distinct - 1)
    low, high = np.quantile(sums[:, 0] / sums[:, 1], (beyond, 1 - beyond))
    return [float(low), float(high)]
