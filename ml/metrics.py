"""The numbers of an evaluation, from labels and probabilities."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, precision_recall_fscore_support

__all__ = ["align_probabilities", "classification_metrics"]


def classification_metrics(labels: np.ndarray, probabilities: np.ndarray, classes: tuple[str, ...]) -> dict[str, Any]:
    """Accuracy, macro and weighted F1, a report by class and the confusion matrix.

    A class nobody predicted has precision 0, as scikit-learn's ``zero_division=0`` gives it.

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
        for label, p, r, f, s in zip(classes, *columns, strict=True)
    ]
    f1 = {
        f"{average}_f1": float(f1_score(labels, predicted, labels=indices, average=average, zero_division=0))
        for average in ("macro", "weighted")
    }
    return {
        "images": len(labels),
        "accuracy": float(accuracy_score(labels, predicted)),
        **f1,
        "report": report,
        "confusion": confusion_matrix(labels, predicted, labels=indices).tolist(),
    }


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
