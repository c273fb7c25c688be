"""The numbers of an evaluation, from labels and probabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, precision_recall_fscore_support

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "BINS",
    "align_probabilities",
    "calibration_bins",
    "calibration_error",
    "classification_metrics",
    "confidence_bins",
    "cumulative_counts",
    "ranking",
]

#: Of equal width, that confidences are sorted into.
BINS = 15


def classification_metrics(labels: np.ndarray, probabilities: np.ndarray, classes: tuple[str, ...]) -> dict[str, Any]:
    """Accuracy, macro and weighted F1, calibration error, a report by class and the confusion matrix.

    A class nobody predicted has precision 0, as scikit-learn's ``zero_division=0`` gives it. ROC AUC and average
    precision of a class, against all others, are None where no image is of it, or every one.

    Args:
        labels: int [N], indices into ``classes``.
        probabilities: float [N, C].
        classes: the C labels.
    """
    predicted = probabilities.argmax(axis=1)
    indices = np.arange(len(classes))
    columns = precision_recall_fscore_support(labels, predicted, labels=indices, zero_division=0)
    report = [
        {"label": label, "precision": float(p), "recall": float(r), "f1": float(f), "support": int(s)}
        | _ranked(labels == index, probabilities[:, index])
        for index, label, p, r, f, s in zip(indices, classes, *columns, strict=True)
    ]
    f1 = {
        f"{average}_f1": float(f1_score(labels, predicted, labels=indices, average=average, zero_division=0))
        for average in ("macro", "weighted")
    }
    return {
        "images": len(labels),
        "accuracy": float(accuracy_score(labels, predicted)),
        **f1,
        "calibration_error": float(calibration_error(calibration_bins(labels, probabilities).sum(axis=0), len(labels))),
        "report": report,
        "confusion": confusion_matrix(labels, predicted, labels=indices).tolist(),
    }


def cumulative_counts(
    positive: np.ndarray, scores: np.ndarray
) -> Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """How many images of either kind have a score or a higher one, from the highest score down.

    Args:
        positive: bool [N].
        scores: float [N]; images of one score are one step.

    Returns:
        A function from weights of the images, float [B, N], to the weights of the positive ones and of the others up to
        each step, float64 [B, steps] each.
    """
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.r_[np.diff(scores[order]) != 0, True])
    hits = positive[order]

    def by_weight(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        weights = weights[:, order]
        return np.cumsum(weights * hits, axis=1)[:, ends], np.cumsum(weights * ~hits, axis=1)[:, ends]

    return by_weight


def ranking(positive: np.ndarray, scores: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """How well scores put some images before the others.

    Args:
        positive: bool [N].
        scores: float [N].

    Returns:
        A function from weights of the images, float [B, N], to ROC AUC and average precision, float64 [B, 2], as
        scikit-learn gives them with these weights; NaN where only one kind of image weighs anything.
    """
    counts_by_weight = cumulative_counts(positive, scores)

    def by_weight(weights: np.ndarray) -> np.ndarray:
        true, false = counts_by_weight(weights)
        steps_up, steps_right = (np.diff(counts, axis=1, prepend=0) for counts in (true, false))
        with np.errstate(divide="ignore", invalid="ignore"):
            area = (steps_right * (true - steps_up / 2)).sum(axis=1) / (true[:, -1] * false[:, -1])
            precision = np.divide(true, true + false, out=np.zeros_like(true), where=true > 0)
            average = (steps_up * precision).sum(axis=1) / true[:, -1]
        one_kind = np.isnan(area)
        return np.stack([area, np.where(one_kind, np.nan, average)], axis=1)

    return by_weight


def _ranked(positive: np.ndarray, scores: np.ndarray) -> dict[str, float | None]:
    ((area, average),) = ranking(positive, scores)(np.ones((1, len(positive))))
    known = not np.isnan(area)
    return {"roc_auc": float(area) if known else None, "average_precision": float(average) if known else None}


def confidence_bins(confidence: np.ndarray) -> np.ndarray:
    """Number of the bin that each confidence, float [N] in [0, 1], falls into: int64 [N]."""
    return np.minimum((confidence * BINS).astype(np.int64), BINS - 1)


def calibration_bins(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """What each image adds to the bins that :func:`calibration_error` compares.

    Args:
        labels: int [N].
        probabilities: float [N, C].

    Returns:
        float64 [N, 2 x BINS]: in the bin of the confidence, the probability of the predicted class; and in the one
        BINS further on 1 if that class is the true one.
    """
    rows, confidence = np.arange(len(labels)), probabilities.max(axis=1)
    bins = confidence_bins(confidence)
    added = np.zeros((len(labels), 2 * BINS))
    added[rows, bins] = confidence
    added[rows, BINS + bins] = probabilities.argmax(axis=1) == labels
    return added


def calibration_error(sums: np.ndarray, images: np.ndarray | int) -> np.ndarray:
    """Expected calibration error: how far confidence and accuracy are apart, averaged over the images.

    Of the predicted class, in bins of equal width (Naeini et al., 2015; Guo et al., 2017).

    Args:
        sums: [..., 2 x BINS], what :func:`calibration_bins` gives, summed over images.
        images: [...], how many they are.

    Returns:
        float64 [...]
    """
    confidence, hits = sums[..., :BINS], sums[..., BINS:]
    return np.asarray(np.abs(confidence - hits).sum(axis=-1) / images)


def align_probabilities(probabilities: np.ndarray, known: tuple[str, ...], wanted: tuple[str, ...]) -> np.ndarray:
    """Move columns from a model's classes to today's: a class it never heard of gets 0.

    Args:
        probabilities: float32 [N, len(known)].
        known: the model's classes.
        wanted: today's classes.

    Returns:
        float32 [N, len(wanted) + 1]; the last column is what it gave to classes that are gone.
    """
    aligned = np.zeros((len(probabilities), len(wanted) + 1), dtype=np.float32)
    for column, label in enumerate(known):
        target = wanted.index(label) if label in wanted else len(wanted)
        aligned[:, target] += probabilities[:, column]
    return aligned
