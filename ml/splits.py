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
    splits = manifest["split"].astype("str")
    homes = _homes(manifest, splits)
    splits = _filled(splits, manifest["group"], homes)
    counts = _count(manifest["label"], splits)
    shares = np.array([settings.train, settings.validation, settings.test])
    arriving = manifest[splits.isna()]
    for label, groups in _sizes(arriving, settings.seed).groupby("label"):
        current = counts.get(str(label), np.zeros(3))
        target = shares * (current.sum() + groups["images"].sum())
        for group, images in groups["images"].items():
            chosen = int(np.argmax((target - current) / shares))
            current[chosen] += images
            homes[str(group)] = SPLITS[chosen]
    return _filled(splits, manifest["group"], homes)


def _filled(splits: pd.Series, groups: pd.Series, homes: dict[str, str]) -> pd.Series:
    missing = splits.isna()
    filled = splits.copy()
    filled[missing] = [homes.get(group) for group in groups[missing].tolist()]
    return filled


def _sizes(images: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Label and number of images of each group, in the order in which they are served.

    The label is that of most of its images, of several such the first in the alphabet.
    """
    counts = images.groupby(["group", "label"], as_index=False).size()
    most = counts.sort_values(["size", "label"], ascending=[False, True]).drop_duplicates("group").set_index("group")
    sizes = pd.DataFrame({"label": most["label"], "images": counts.groupby("group")["size"].sum()})
    return sizes.assign(order=[_order(seed, group) for group in sizes.index]).sort_values("order")


def count_by_split(labels: pd.Series, splits: pd.Series, classes: Sequence[str] | None = None) -> pd.DataFrame:
    """Images of each class in each split, int [class, split].

    Args:
        labels: one an image.
        splits: with the same index; what is in no split counts nowhere.
        classes: the rows, with or without images; the labels that are there by default.
    """
    numbers, names = pd.factorize(labels, sort=True)
    places = pd.Index(SPLITS).get_indexer(pd.Index(splits))
    counted = places >= 0
    width = len(SPLITS)
    counts = np.bincount(numbers[counted] * width + places[counted], minlength=len(names) * width)
    table = pd.DataFrame(counts.reshape(-1, width), index=names, columns=list(SPLITS))
    return table if classes is None else table.reindex(list(classes), fill_value=0)


def _homes(manifest: pd.DataFrame, splits: pd.Series) -> dict[str, str]:
    held = splits.isin(SPLITS)
    homes: dict[str, str] = {}
    for group, split in zip(manifest["group"][held].tolist(), splits[held].tolist(), strict=True):
        if homes.setdefault(group, split) != split:
            raise ValueError(f"group {group} lies in more than one split")
    return homes


def _count(labels: pd.Series, splits: pd.Series) -> dict[str, np.ndarray]:
    table = count_by_split(labels, splits)
    return {str(label): row.to_numpy(dtype=float) for label, row in table.iterrows()}


def _order(seed: int, group: str) -> str:
    return hashlib.sha256(f"{seed}:{group}".encode()).hexdigest()
