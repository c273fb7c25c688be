"""Splits that never change: each image is given one when it arrives."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ml.config import SplitSettings

__all__ = ["EXCLUDED", "SPLITS", "assign_splits", "count_by_split"]

SPLITS = ("train", "validation", "test")
#: In place of a split: the image is like images of two different splits, and is used in neither.
EXCLUDED = "excluded"


def assign_splits(manifest: pd.DataFrame, settings: SplitSettings) -> pd.Series:
    """Give every image without a split one, and leave the others as they are.

    A group goes whole to one split. Within each label the groups that arrive are taken in the order of a seeded
    hash of their name, so that neither the order of arrival nor the number of images decides, and each goes to the
    split that is furthest below its share.

    Args:
        manifest: columns label, group and split, the last null for images that arrive; excluded images count
            nowhere and hold their groups nowhere.

    Returns:
        The splits, with the manifest's index.

    Raises:
        ValueError: a group lies in two splits already.
    """
    groups, names = pd.factorize(manifest["group"], use_na_sentinel=False)
    labels, classes = pd.factorize(manifest["label"], sort=True)
    splits = pd.Index(SPLITS).get_indexer(pd.Index(manifest["split"]))
    arriving = manifest["split"].isna().to_numpy(dtype=bool)
    homes = _homes(groups, splits, names)
    splits[arriving] = homes[groups[arriving]]
    counts = _count(labels, splits, len(classes)).astype(float)
    shares = np.array([settings.train, settings.validation, settings.test])
    waiting = arriving & (splits < 0)
    queue = _queue(groups[waiting], labels[waiting], names, settings.seed)
    targets = counts.sum(axis=1)
    for _, label, images in queue:
        targets[label] += images
    for group, label, images in queue:
        homes[group] = np.argmax((shares * targets[label] - counts[label]) / shares)
        counts[label, homes[group]] += images
    result = manifest["split"].astype("str")
    result[arriving] = np.array(SPLITS, dtype=object)[homes[groups[arriving]]]
    return result


def _homes(groups: np.ndarray, splits: np.ndarray, names: pd.Index) -> np.ndarray:
    """The split of each group, -1 for one that has none yet."""
    held = splits >= 0
    homes = np.full(len(names), -1)
    homes[groups[held]] = splits[held]
    torn = homes[groups[held]] != splits[held]
    if torn.any():
        raise ValueError(f"group {names[groups[held][torn][0]]} lies in more than one split")
    return homes


def _queue(groups: np.ndarray, labels: np.ndarray, names: pd.Index, seed: int) -> list[tuple[int, int, int]]:
    """Number, label and images of each group, in the order in which they are served.

    The label is that of most of its images, of several such the first in the alphabet.
    """
    width = int(labels.max(initial=0)) + 1
    pairs, images = np.unique(groups * width + labels, return_counts=True)
    group, label = np.divmod(pairs, width)
    most = np.lexsort((label, -images, group))
    numbers, first = np.unique(group[most], return_index=True)
    sizes = np.bincount(groups)[numbers]
    order = np.argsort([_order(seed, name) for name in names[numbers]])
    columns = (numbers, label[most[first]], sizes)
    return list(zip(*(column[order].tolist() for column in columns), strict=True))


def _count(labels: np.ndarray, splits: np.ndarray, classes: int) -> np.ndarray:
    """Images of each class in each split, int [class, split]; a label or a split of -1 is none."""
    width, held = len(SPLITS), (labels >= 0) & (splits >= 0)
    return np.bincount(labels[held] * width + splits[held], minlength=classes * width).reshape(-1, width)


def count_by_split(labels: pd.Series, splits: pd.Series, classes: Sequence[str] | None = None) -> pd.DataFrame:
    """Images of each class in each split, int [class, split].

    Args:
        labels: one an image.
        splits: with the same index; what is in no split counts nowhere.
        classes: the rows, with or without images; the labels that are there by default.
    """
    numbers, names = pd.factorize(labels, sort=True)
    counts = _count(numbers, pd.Index(SPLITS).get_indexer(pd.Index(splits)), len(names))
    table = pd.DataFrame(counts, index=names, columns=list(SPLITS))
    return table if classes is None else table.reindex(list(classes), fill_value=0)


def _order(seed: int, group: str) -> str:
    return hashlib.sha256(f"{seed}:{group}".encode()).hexdigest()
