"""How sure the figures of an evaluation are, and the difference of two models: both by the bootstrap over groups."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from ml.bootstrap import RESAMPLES, Draws, contracted_share, expanded_share, interval
from ml.metrics import calibration_bins, calibration_error, ranking

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Comparison", "compare", "metric_intervals"]

BY_CLASS = ("precision", "recall", "f1", "roc_auc", "average_precision")
AVERAGES = ("accuracy", "macro_f1", "weighted_f1")
#: Decimals of macro F1 that mean something: the order of a sum's terms moves the last ones, and a tie is a tie.
DECIMALS = 12


@dataclass(frozen=True)
class Comparison:
    """Two models on the same images.

    Attributes:
        images: how many.
        groups: that these belong to.
        differing: groups in which the two do not answer alike.
        challenger: its macro F1.
        champion: the other's.
        differences: challenger less champion, in each sample of groups; empty where there is one group only.
    """

    images: int
    groups: int
    differing: int
    challenger: float
    champion: float
    differences: np.ndarray = field(repr=False)

    @property
    def interval(self) -> list[float] | None:
        """The middle 95 % of the differences; None without any."""
        return interval(self.differences)

    def probability_worse(self, margin: float) -> float:
        """That the challenger is worse by a margin or more, with a margin of 0 that it is no better; NaN if unknown.

        The share of samples in which it is. Samples move too little where only a few groups tell the two apart, and
        the share is then too sure of itself, so its normal quantile is taken for one of Student's distribution with
        so many observations (the expanded percentile interval: Hesterberg, 2015).
        """
        if not len(self.differences):
            return float("nan")
        share = (self.differences <= -margin).mean()
        return contracted_share(float(share), self._freedom)

    def margin_above(self, risk: float) -> float:
        """The margin that is too small, and above which the challenger is worse with a probability of ``risk`` at most.

        There must be differences.
        """
        share = expanded_share(risk, self._freedom)
        return float(-np.sort(self.differences)[int(share * len(self.differences))])

    @property
    def _freedom(self) -> int:
        return max(self.differing - 1, 1)


def metric_intervals(
    labels: np.ndarray, probabilities: np.ndarray, classes: Sequence[str], groups: Sequence[str]
) -> dict[str, Any]:
    """95 % intervals for what :func:`ml.metrics.classification_metrics` gives.

    A class that a sample happens to miss counts in none of that sample's figures. None stands for an interval that
    cannot be had: of a class without test images, and of everything where all images are of one group.

    Args:
        labels: int [N], indices into ``classes``.
        probabilities: float [N, C] or [N, C + 1], as :func:`ml.metrics.align_probabilities` gives them.
        classes: the C labels.
        groups: [N], the group of each image.

    Returns:
        ``accuracy``, ``macro_f1``, ``weighted_f1`` and ``calibration_error``; ``report``, a row a class; ``confusion``,
        a row a class with an interval for the share of its images that is taken for each class; the numbers of
        ``groups`` and of ``resamples``.
    """
    count, draws = len(classes), Draws(groups)
    cells = _cells(labels, probabilities.argmax(axis=1), count)
    sums = draws.sums(sparse.hstack([cells, calibration_bins(labels, probabilities)], format="csr"))
    confusion = sums[:, : cells.shape[1]].reshape(-1, count, count + 1)
    figures = _figures(confusion)
    figures["calibration_error"] = calibration_error(sums[:, cells.shape[1] :], confusion.sum(axis=(1, 2)))
    figures |= _resampled_ranking(labels, probabilities[:, :count], draws)

    def ends(values: np.ndarray) -> list[float] | None:
        return interval(values) if draws.distinct > 1 else None

    report = [{name: ends(figures[name][:, index]) for name in BY_CLASS} for index in range(count)]
    averages = {name: ends(figures[name]) for name in (*AVERAGES, "calibration_error")}
    with np.errstate(invalid="ignore"):  # a sample may have no image of a class
        shares = confusion / confusion.sum(axis=2, keepdims=True)
    taken = [[ends(shares[:, true, answer]) for answer in range(count)] for true in range(count)]
    return {**averages, "report": report, "confusion": taken, "groups": draws.distinct, "resamples": RESAMPLES}


def compare(
    labels: np.ndarray, challenger: np.ndarray, champion: np.ndarray, count: int, groups: Sequence[str]
) -> Comparison:
    """Macro F1 of two models in the same samples of groups (a paired bootstrap).

    Args:
        labels: int [N], from 0 to C - 1.
        challenger: the classes that it predicts, int [N].
        champion: those that the other one predicts; C stands for any class that is gone.
        count: C, the number of classes.
        groups: [N], the group of each image.
    """
    draws = Draws(groups)
    both = [_cells(labels, predicted, count) for predicted in (challenger, champion)]
    shape = (-1, 2, count, count + 1)
    once = np.concatenate([cells.sum(axis=0) for cells in both]).reshape(shape)
    here, there = _figures(once[0])["macro_f1"].round(DECIMALS) if len(labels) else (np.nan, np.nan)
    differences = np.empty(0)
    if draws.distinct > 1:
        sums = draws.sums(sparse.hstack(both, format="csr")).reshape(shape)
        # Which classes count is the same for both: it depends on the images alone.
        scores = np.stack([_figures(sums[:, one])["macro_f1"] for one in range(2)])
        differences = (scores[0] - scores[1]).round(DECIMALS)
    differing = len({group for group, differs in zip(groups, challenger != champion, strict=True) if differs})
    return Comparison(len(labels), draws.distinct, differing, float(here), float(there), differences)


def _cells(labels: np.ndarray, predicted: np.ndarray, count: int) -> Any:
    """Where in the confusion matrix each image stands: sparse [N, C x (C + 1)].

    One column more than classes, for images that are taken for a class that is gone.
    """
    places = labels * (count + 1) + predicted
    rows = np.arange(len(labels))
    return sparse.csr_array((np.ones(len(labels)), (rows, places)), (len(labels), count * (count + 1)))


def _figures(confusion: np.ndarray) -> dict[str, np.ndarray]:
    """Averages [B] and figures of the classes [B, C] of confusion matrices [B, C, C + 1].

    Figures of a class are NaN where a matrix has no image of it.
    """
    support, predictions = confusion.sum(axis=2), confusion[:, :, :-1].sum(axis=1)
    hits = np.diagonal(confusion, axis1=1, axis2=2)
    f1 = _quotient(2 * hits, support + predictions)
    present = support > 0
    # A class without any test image is worth 0 to the mean, as it is to the figure that the interval is for.
    counted = present | ~present.any(axis=0)
    by_class = {"precision": _quotient(hits, predictions), "recall": _quotient(hits, support), "f1": f1}
    return {
        "accuracy": hits.sum(axis=1) / support.sum(axis=1),
        "macro_f1": (f1 * counted).sum(axis=1) / counted.sum(axis=1),
        "weighted_f1": (f1 * support).sum(axis=1) / support.sum(axis=1),
        **{name: np.where(present, values, np.nan) for name, values in by_class.items()},
    }


def _resampled_ranking(labels: np.ndarray, scores: np.ndarray, draws: Draws) -> dict[str, np.ndarray]:
    """ROC AUC and average precision of each class against all others, in each sample: [resamples, C]."""
    columns = [ranking(labels == one, scores[:, one]) for one in range(scores.shape[1])]
    found = [np.stack([by_weight(weights) for by_weight in columns], axis=1) for weights in draws.weights()]
    curves = np.concatenate(found)
    return {"roc_auc": curves[:, :, 0], "average_precision": curves[:, :, 1]}


def _quotient(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """0 where there is nothing to divide by."""
    return np.asarray(part / np.maximum(whole, 1))
