"""Labels to look at again: those of which a model that was not fitted to the image is sure that they are others.

Nothing here changes a label or leaves an image out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from cleanlab.filter import find_label_issues
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from ml.ensemble import fold_count

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from ml.features import FeatureReader

__all__ = ["LabelIssue", "LabelReview", "find_issues", "out_of_fold_probabilities", "rank_issues", "review_labels"]

#: Inverse strength of the penalty on squared weights. With little of it a regression on hundreds of features learns
#: wrong labels by heart, and is sure of wrong answers besides: it then doubts twice as many labels that are right.
INVERSE_PENALTY = 0.01
#: Coarser than scikit-learn's: a finer one takes twice the iterations and changes no rank.
TOLERANCE = 1e-3
ITERATIONS = 1000


class LabelIssue(NamedTuple):
    """An image that looks like those of another label.

    ``label_probability`` is that of the label that was given, by which issues are ranked: the least likely first.
    """

    image_id: str
    split: str
    label: str
    suggested: str
    label_probability: float
    suggested_probability: float


class LabelReview(NamedTuple):
    """What became of a look at all labels.

    Attributes:
        issues: the most doubtful labels first.
        images: that were looked at.
        missing: images without a cached feature map.
        unjudged: images that nothing could be held against: all others of their class lie in their fold.
        folds: into which the images were cut; 0 where nothing was looked at.
        reason: why nothing was looked at, else None.
    """

    issues: tuple[LabelIssue, ...] = ()
    images: int = 0
    missing: int = 0
    unjudged: int = 0
    folds: int = 0
    reason: str | None = None


def review_labels(reader: FeatureReader, samples: pd.DataFrame, classes: Sequence[str], seed: int) -> LabelReview:
    """Look at the labels of all images that have a cached feature map.

    Args:
        reader: of the feature maps.
        samples: columns image_id, group, split and label (int, index into the classes).
        classes: the labels.
        seed: of the folds.

    Raises:
        CorruptShardError: a shard's bytes are not what its index says.
    """
    cached = np.array([image_id in reader for image_id in samples["image_id"]], dtype=bool)
    found = samples[cached]
    missing = len(samples) - len(found)
    if found.empty:
        return LabelReview(missing=missing, reason="no image has a cached feature map")
    return find_issues(reader.take_pooled(found["image_id"].tolist()), found, classes, seed)._replace(missing=missing)


def find_issues(features: np.ndarray, samples: pd.DataFrame, classes: Sequence[str], seed: int) -> LabelReview:
    """Find the labels that are doubtful, given what is known of the images.

    Args:
        features: float32 [N, D].
        samples: N rows, as :func:`review_labels` takes them.
        classes: the labels.
        seed: of the folds.
    """
    labels, groups = samples["label"].to_numpy(), samples["group"].to_numpy()
    if len(np.unique(labels)) < 2:
        return LabelReview(reason="it takes images of two classes")
    folds = fold_count(labels, groups)
    if folds < 2:
        return LabelReview(reason="it takes two images of each class, and two groups of images")
    probabilities = out_of_fold_probabilities(features, labels, groups, len(classes), seed)
    judged = ~np.isnan(probabilities).any(axis=1)
    if len(np.unique(labels[judged])) < 2:
        return LabelReview(unjudged=len(labels), reason="it takes two groups of images in two classes")
    ranked = np.flatnonzero(judged)[rank_issues(labels[judged], probabilities[judged])]
    issues = _describe(samples.iloc[ranked], probabilities[ranked], classes)
    return LabelReview(issues, images=int(judged.sum()), unjudged=int((~judged).sum()), folds=folds)


def out_of_fold_probabilities(
    features: np.ndarray, labels: np.ndarray, groups: np.ndarray, classes: int, seed: int
) -> np.ndarray:
    """What multinomial logistic regression says of each image, fitted without its fold.

    Folds have like shares of the classes, and keep groups whole: the regression would know a wrong label by heart from
    another picture of the same patient.

    Args:
        features: float32 [N, D]; standardised by the images that a regression is fitted to.
        labels: int [N], each below ``classes``.
        groups: [N], of the images.
        classes: how many there are.
        seed: of the folds.

    Returns:
        float64 [N, classes]; NaN for images whose class is in no other fold.
    """
    folds = StratifiedGroupKFold(fold_count(labels, groups), shuffle=True, random_state=seed)
    probabilities = np.full((len(labels), classes), np.nan)
    for fitted, held_out in folds.split(labels, labels, groups):
        known = np.unique(labels[fitted])
        judged = held_out[np.isin(labels[held_out], known)]
        if len(known) < 2 or not len(judged):
            continue
        regression = LogisticRegression(C=INVERSE_PENALTY, tol=TOLERANCE, max_iter=ITERATIONS)
        # Both parts are copies, which may be overwritten.
        # Products this small are no quicker on several cores, and many times slower where others work on these.
        with threadpool_limits(1):
            model = make_pipeline(StandardScaler(copy=False), regression).fit(features[fitted], labels[fitted])
            probabilities[judged] = 0
            probabilities[np.ix_(judged, known)] = model.predict_proba(features[judged])
    return probabilities


def rank_issues(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Find doubtful labels by confident learning (Northcutt et al., 2021, JAIR 70), and rank them.

    How many labels of a class are rather another one is estimated by counting the images whose probability of the
    other is at least the mean that images so labelled get. So many of a class are doubtful, by their own probability
    and by the margin to the other (the paper's "C+NR"), as far as the other is likelier.

    Args:
        labels: int [N], of two classes or more.
        probabilities: float [N, K], of images that were not fitted to.

    Returns:
        int [issues]: rows, that with the least probability of its label first.
    """
    present = np.unique(labels)
    shares = probabilities[:, present]
    found = find_label_issues(
        np.searchsorted(present, labels),
        shares / shares.sum(axis=1, keepdims=True),
        filter_by="both",
        return_indices_ranked_by="self_confidence",
        # Nothing is removed, so no class has to keep an image.
        min_examples_per_class=0,
        n_jobs=1,
    )
    return np.asarray(found, dtype=np.int64)


def _describe(samples: pd.DataFrame, probabilities: np.ndarray, classes: Sequence[str]) -> tuple[LabelIssue, ...]:
    names = ("image_id", "split", "label")
    columns = (*(samples[name].tolist() for name in names), probabilities.argmax(axis=1).tolist())
    return tuple(
        LabelIssue(image_id, split, classes[label], classes[other], float(row[label]), float(row[other]))
        for image_id, split, label, other, row in zip(*columns, probabilities, strict=True)
    )
