"""What makes classes of unequal size count alike in training; it concerns training images only."""

from __future__ import annotations

import numpy as np
from imblearn.over_sampling import RandomOverSampler
from sklearn.utils.class_weight import compute_class_weight

__all__ = ["class_weights", "oversample"]


def oversample(labels: np.ndarray, imbalance: str, seed: int) -> np.ndarray:
    """Indices into the training images; with ``random_over`` every class is as frequent as the largest.

    Args:
        labels: int [N], the class of each training image.
        imbalance: ``random_over`` repeats images at random; with any other every index comes once.
        seed: of the choice.

    Returns:
        int64 [M], M >= N, every index at least once.
    """
    indices = np.arange(len(labels), dtype=np.int64)
    if imbalance != "random_over":
        return indices
    sampler = RandomOverSampler(random_state=seed)
    resampled, _ = sampler.fit_resample(indices.reshape(-1, 1), labels)
    return np.asarray(resampled, dtype=np.int64).ravel()


def class_weights(labels: np.ndarray, class_count: int) -> np.ndarray:
    """What an image of each class weighs in the loss: scikit-learn's balanced weights, whose mean over images is 1.

    Args:
        labels: int [N], the class of each training image; every class must be there.
        class_count: number of classes.

    Returns:
        float32 [class_count].
    """
    balanced = compute_class_weight("balanced", classes=np.arange(class_count), y=labels)
    return np.asarray(balanced, dtype=np.float32)
