"""Oversampling, of training images only."""

from __future__ import annotations

import numpy as np
from imblearn.over_sampling import RandomOverSampler

__all__ = ["oversample"]


def oversample(labels: np.ndarray, method: str, seed: int) -> np.ndarray:
    """Indices into the training images with every class as frequent as the largest.

    Args:
        labels: int [N], the class of each training image.
        method: ``random_over`` repeats images at random; ``none`` returns every index once.
        seed: of the choice.

    Returns:
        int64 [M], M >= N, every index at least once.
    """
    indices = np.arange(len(labels), dtype=np.int64)
    if method == "none":
        return indices
    sampler = RandomOverSampler(random_state=seed)
    resampled, _ = sampler.fit_resample(indices.reshape(-1, 1), labels)
    return np.asarray(resampled, dtype=np.int64).ravel()
