"""Slices: how well a model does on test images that have something in common, and which of them it does worst on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ml import layout
from ml.bootstrap import Draws, interval

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["measure_slices", "slice_values"]

#: Of a measure the lower, the middle and the upper third of the images.
PARTS = 3
#: Slices of one attribute that are named though they are too small to be measured; others are counted.
NAMED_SMALL = 6


def slice_values(images: pd.DataFrame, attributes: pd.DataFrame) -> pd.DataFrame:
    """What images can be told apart by.

    Args:
        images: rows of a manifest.
        attributes: further columns of labels.csv, indexed by image id; an image may lack them.

    Returns:
        In the order of the images, a column of texts for each attribute, null where it is not known: the source folder
        and the group; thirds by brightness, sharpness and size; the format; and each further column.
    """
    sizes = np.sqrt(images["width"].to_numpy(float) * images["height"].to_numpy(float))
    columns: dict[str, Any] = {
        "folder": [_folder(key) for key in images["source_key"]],
        "group": images["group"].to_numpy(),
        "brightness": _thirds(images["brightness"].to_numpy(float)),
        "sharpness": _thirds(images["sharpness"].to_numpy(float)),
        "size": _thirds(sizes, " px"),
        "format": images["format"].to_numpy(),
    }
    further = attributes.reindex(images["image_id"])
    # A column may have the name of one of ours.
    columns |= {f"{name} (labels.csv)" if name in columns else str(name): further[name].to_numpy() for name in further}
    return pd.DataFrame(columns, index=images.index).astype("string")


def measure_slices(values: pd.DataFrame, right: np.ndarray, groups: Sequence[str], min_images: int) -> dict[str, Any]:
    """The share of each slice's images that the model gets right.

    An attribute of which all images have the same value tells nothing apart and is left out.

    Args:
        values: from :func:`slice_values`.
        right: bool [N], whether the model's answer is the true class.
        groups: [N], the group of each image; drawn whole for the intervals.
        min_images: with fewer a slice is too small to say anything of.

    Returns:
        ``min_images``; ``attributes``, each with ``name``, ``slices`` (``value``, ``images``, ``accuracy`` and its
        ``interval``, both None for one that is too small; the worst first) and ``unlisted`` (how many ``values`` with
        how many ``images`` are too small and not named); ``worst``, the slice with the lowest accuracy and its
        ``attribute``, None where every one is too small.
    """
    draws, attributes = Draws(groups), []
    for name in values:
        codes, labels = pd.factorize(values[name], sort=True)
        if len(labels) < 2:
            continue
        attributes.append(_measure(str(name), codes, labels.tolist(), right, draws, min_images))
    return {"min_images": min_images, "attributes": attributes, "worst": _worst(attributes)}


def _measure(
    name: str, codes: np.ndarray, labels: Sequence[str], right: np.ndarray, draws: Draws, min_images: int
) -> dict[str, Any]:
    images = np.bincount(codes[codes >= 0], minlength=len(labels))
    measured, small = (np.flatnonzero(found) for found in (images >= min_images, images < min_images))
    inside = codes[:, None] == measured
    sums = draws.sums(np.hstack([inside, inside & right[:, None]]).astype(float))
    with np.errstate(invalid="ignore"):  # a sample may have no image of a slice
        shares = sums[:, len(measured) :] / sums[:, : len(measured)]
    rows: list[dict[str, Any]] = [
        {
            "value": labels[int(code)],
            "images": int(images[code]),
            "accuracy": float(right[codes == code].mean()),
            "interval": interval(shares[:, place]) if draws.distinct > 1 else None,
        }
        for place, code in enumerate(measured)
    ]
    rows.sort(key=lambda row: (row["accuracy"], -row["images"]))
    largest = small[np.argsort(-images[small], kind="stable")]
    rows += [
        {"value": labels[code], "images": int(images[code]), "accuracy": None, "interval": None}
        for code in largest[:NAMED_SMALL]
    ]
    others = largest[NAMED_SMALL:]
    return {"name": name, "slices": rows, "unlisted": {"values": len(others), "images": int(images[others].sum())}}


def _worst(attributes: Iterable[Mapping[str, Any]]) -> dict[str, Any] | None:
    rows = [
        {"attribute": attribute["name"], **row}
        for attribute in attributes
        for row in attribute["slices"]
        if row["accuracy"] is not None
    ]
    return min(rows, key=lambda row: (row["accuracy"], -row["images"]), default=None)


def _folder(source_key: str) -> str:
    folder = source_key.removeprefix(layout.LANDING).rpartition("/")[0]
    return folder or "(no folder)"


def _thirds(measures: np.ndarray, unit: str = "") -> list[str]:
    """Which third of the images each is in, by the range of that third; equal ones stay together, whatever its size."""
    distinct = np.unique(measures)
    cuts = np.unique(np.quantile(measures, [part / PARTS for part in range(1, PARTS)], method="lower"))
    cuts = cuts[cuts < distinct[-1]]  # the largest of each part but the last
    if not len(cuts):
        cuts = distinct[-2:-1]
    places = np.searchsorted(cuts, measures, side="left")
    ranges = (measures[places == place] for place in range(len(cuts) + 1))
    names = [_range(float(part.min()), float(part.max()), unit) for part in ranges]
    return [names[place] for place in places]


def _range(low: float, high: float, unit: str) -> str:
    ends = [f"{end:,.0f}" if abs(end) >= 100 else f"{end:.3g}" for end in (low, high)]
    return f"{ends[0]}{unit}" if ends[0] == ends[1] else f"{ends[0]} to {ends[1]}{unit}"
