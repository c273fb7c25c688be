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


def slice_values(images: pd.DataFrame, attributes: pd.DataFrame, aliases: Mapping[str, str]) -> pd.DataFrame:
    """What images can be told apart by.

    Args:
        images: rows of a manifest.
        attributes: further columns of labels.csv, indexed by image id; an image may lack them.
        aliases: of labels, as folders have them.

    Returns:
        In the order of the images, a column of texts for each attribute, null where it is not known: the source
        folder; the same without a first part that is the label, as subfolder; thirds by brightness, sharpness and size;
        the format; and each further column.
    """
    folders = [_folder(key) for key in images["source_key"]]
    sizes = np.sqrt(images["width"].to_numpy(float) * images["height"].to_numpy(float))
    columns: dict[str, Any] = {
        "folder": folders,
        "subfolder": [_below(*one, aliases) for one in zip(folders, images["label"], strict=True)],
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

    An attribute of which all images have the same value tells nothing apart and is left out. A slice that is too small
    is counted and not named: its value may be that of one person.

    Args:
        values: from :func:`slice_values`.
        right: bool [N], whether the model's answer is the true class.
        groups: [N], the group of each image; drawn whole for the intervals.
        min_images: with fewer, or with images of one group only, a slice is too small to say anything of.

    Returns:
        ``min_images``; ``attributes``, each with ``name``, ``slices`` (``value``, ``images``, ``groups``, ``accuracy``
        and its ``interval``; the worst first) and ``small`` (how many ``values`` with how many ``images`` are too
        small); ``worst``, the slice with the lowest accuracy and its ``attribute``, None where every one is too small.
    """
    draws, attributes = Draws(groups), []
    members = np.unique(np.asarray(groups, dtype=str), return_inverse=True)[1]
    for name in values:
        codes, labels = pd.factorize(values[name], sort=True)
        if len(labels) < 2:
            continue
        known = codes >= 0
        images = np.bincount(codes[known], minlength=len(labels))
        distinct = pd.Series(members[known]).groupby(codes[known]).nunique().to_numpy()
        enough = (images >= min_images) & (distinct > 1)
        rows = _measure(np.flatnonzero(enough), codes, right, draws)
        for row in rows:
            code = row.pop("code")
            row |= {"value": labels[code], "images": int(images[code]), "groups": int(distinct[code])}
        rows.sort(key=lambda row: (row["accuracy"], -row["images"]))
        small = {"values": int((~enough).sum()), "images": int(images[~enough].sum())}
        attributes.append({"name": str(name), "slices": rows, "small": small})
    return {"min_images": min_images, "attributes": attributes, "worst": _worst(attributes)}


def _measure(measured: np.ndarray, codes: np.ndarray, right: np.ndarray, draws: Draws) -> list[dict[str, Any]]:
    inside = codes[:, None] == measured
    sums = draws.sums(np.hstack([inside, inside & right[:, None]]).astype(float))
    with np.errstate(invalid="ignore"):  # a sample may have no image of a slice
        shares = sums[:, len(measured) :] / sums[:, : len(measured)]
    return [
        {"code": int(code), "accuracy": float(right[codes == code].mean()), "interval": interval(shares[:, place])}
        for place, code in enumerate(measured)
    ]


def _worst(attributes: Iterable[Mapping[str, Any]]) -> dict[str, Any] | None:
    rows = [{"attribute": attribute["name"], **row} for attribute in attributes for row in attribute["slices"]]
    return min(rows, key=lambda row: (row["accuracy"], -row["images"]), default=None)


def _folder(source_key: str) -> str:
    folder = source_key.removeprefix(layout.LANDING).rpartition("/")[0]
    return folder or "(no folder)"


def _below(folder: str, label: str, aliases: Mapping[str, str]) -> str:
    first, _, rest = folder.partition("/")
    return rest or "(none)" if aliases.get(first, first) == label else folder


def _thirds(measures: np.ndarray, unit: str = "") -> list[str]:
    """Which third of the images each is in, by the range of that third; equal ones stay together, whatever its size."""
    distinct = np.unique(measures)
    cuts = np.unique(np.quantile(measures, [part / PARTS for part in range(1, PARTS)], method="lower"))
    cuts = cuts[cuts < distinct[-1]]  # the largest of each part but the last
    if not len(cuts):
        cuts = distinct[-2:-1]
    places = np.searchsorted(cuts, measures, side="left")
    ranges = (measures[places == place] for place in range(len(cuts) + 1))
    ends = [(float(part.min()), float(part.max())) for part in ranges]
    names = [_range(*both, unit) for both in ends]
    if len(set(names)) < len(names):  # too much alike for the digits that are shown
        names = [f"{low!r} to {high!r}{unit}" for low, high in ends]
    return [names[place] for place in places]


def _range(low: float, high: float, unit: str) -> str:
    ends = [f"{end:,.0f}" if abs(end) >= 100 else f"{end:.3g}" for end in (low, high)]
    return f"{ends[0]}{unit}" if ends[0] == ends[1] else f"{ends[0]} to {ends[1]}{unit}"
