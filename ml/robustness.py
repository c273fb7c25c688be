"""What a model loses when its images are harmed, and whether it stays with its answer when they hardly change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ml.bootstrap import Draws, mean_interval
from ml.changes import CHANGES
from ml.intervals import compare, metric_intervals
from ml.metrics import classification_metrics

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import pandas as pd

__all__ = ["measure_changes"]

SHOWN = ("accuracy", "macro_f1", "weighted_f1", "calibration_error")


def measure_changes(
    images: pd.DataFrame,
    clean: np.ndarray,
    changed: Mapping[str, np.ndarray],
    classes: tuple[str, ...],
    min_unmoved: float,
) -> dict[str, Any]:
    """Hold answers for changed images against those for the same images as they are.

    Args:
        images: columns label (indices into ``classes``) and group.
        clean: probabilities float [N, C] for the images as they are.
        changed: by a name of :data:`ml.changes.CHANGES`, probabilities of the changed images.
        classes: the labels.
        min_unmoved: share of images that an invariance must leave in their class.

    Returns:
        ``images``, ``groups``, ``min_unmoved``; ``clean``, the metrics of :data:`SHOWN` with their ``intervals``;
        ``changes``, each with the same and ``name``, ``title``, ``kind``, ``difference`` of macro F1 from the clean
        images' and its ``difference_interval``, ``unmoved`` (share of images whose class stays) and its
        ``unmoved_interval``, and ``passed`` (None for a corruption).
    """
    labels, groups = images["label"].to_numpy(), images["group"].tolist()
    draws, before = Draws(groups), clean.argmax(axis=1)
    rows = []
    for name, probabilities in changed.items():
        change, after = CHANGES[name], probabilities.argmax(axis=1)
        pair = compare(labels, after, before, len(classes), groups)
        unmoved = after == before
        rows.append(
            {
                "name": name,
                "title": change.title,
                "kind": change.kind,
                **_metrics(labels, probabilities, classes, groups),
                "difference": pair.challenger - pair.champion,
                "difference_interval": pair.interval,
                "unmoved": float(unmoved.mean()),
                "unmoved_interval": mean_interval(unmoved, draws),
                "passed": bool(unmoved.mean() >= min_unmoved) if change.kind == "invariance" else None,
            }
        )
    return {
        "images": len(labels),
        "groups": draws.distinct,
        "min_unmoved": min_unmoved,
        "clean": _metrics(labels, clean, classes, groups),
        "changes": rows,
    }


def _metrics(
    labels: np.ndarray, probabilities: np.ndarray, classes: tuple[str, ...], groups: list[str]
) -> dict[str, Any]:
    metrics = classification_metrics(labels, probabilities, classes)
    intervals = metric_intervals(labels, probabilities, classes, groups)
    return {**{name: metrics[name] for name in SHOWN}, "intervals": {name: intervals[name] for name in SHOWN}}
