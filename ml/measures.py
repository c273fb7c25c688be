"""What is measured on a snapshot as a whole: shares of what arrived, and its drift from the parent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from ml.drift import ks_noise, ks_statistic, psi, psi_noise
from ml.splits import EXCLUDED

if TYPE_CHECKING:
    import pandas as pd

    from ml.config import ValidationSettings

__all__ = ["PROPERTIES", "Arrivals", "Measure", "count_arrivals", "measure_drift", "measure_shares"]

#: What is known of an image besides its label.
PROPERTIES = ("brightness", "contrast", "sharpness", "width", "height", "bytes")


@dataclass(frozen=True)
class Measure:
    """One number with its bounds.

    Attributes:
        name: a column of the table that is held against the suite.
        topic: heading under which a report shows it.
        title: what was measured, in words.
        value: None when it could not be measured.
        note: what it rests on, or why there is no value.
        method: name of the measure.
        low: smallest value that is met.
        high: largest one.
        is_share: shown as a percentage.
    """

    name: str
    topic: Literal["What arrived", "Drift"]
    title: str
    value: float | None
    note: str
    method: str
    low: float | None = None
    high: float | None = None
    is_share: bool = False


@dataclass(frozen=True)
class Arrivals:
    """Counts of objects: those that arrived with one snapshot, or all that were ever seen."""

    objects: int
    images: int
    duplicates: int
    excluded: int
    quarantined: dict[str, int]

    @property
    def refused(self) -> int:
        """Objects in quarantine, whatever the reason."""
        return sum(self.quarantined.values())


def count_arrivals(ledger: pd.DataFrame, manifest: pd.DataFrame) -> Arrivals:
    """Count rows of the two tables, which the caller has cut down to one arrival or not."""
    reasons = ledger["reason"].value_counts().sort_index()
    return Arrivals(
        objects=len(ledger),
        images=len(manifest),
        duplicates=int(ledger["reason"].isna().sum()) - len(manifest),
        excluded=int((manifest["split"] == EXCLUDED).sum()),
        quarantined={str(reason): int(count) for reason, count in reasons.items()},
    )


def measure_shares(now: Arrivals, overall: Arrivals, limits: ValidationSettings) -> list[Measure]:
    """Shares of what is in quarantine, there already, or in no split."""
    shares = (
        ("arrived_quarantined_share", "Quarantined, of what arrived now", now.refused, now.objects),
        ("quarantined_share", "Quarantined, of everything seen", overall.refused, overall.objects),
        ("arrived_duplicated_share", "There already, of what arrived now", now.duplicates, now.objects),
        ("excluded_share", "In no split, of all images", overall.excluded, overall.images),
    )
    highs = (
        limits.max_quarantined_share,
        limits.max_quarantined_share,
        limits.max_duplicated_share,
        limits.max_excluded_share,
    )
    return [
        Measure(
            name=name,
            topic="What arrived",
            title=title,
            value=part / whole if whole else None,
            note=f"{part:,} of {whole:,}" if whole else "nothing arrived",
            method="share",
            high=high,
            is_share=True,
        )
        for (name, title, part, whole), high in zip(shares, highs, strict=True)
    ]


def measure_drift(arrived: pd.DataFrame, parent: pd.DataFrame | None, limits: ValidationSettings) -> list[Measure]:
    """How far the images that arrived are from the parent's.

    A limit is never below what chance alone explains at these numbers of images.

    Args:
        arrived: rows of the manifest.
        parent: the parent's manifest, None when there is no parent.
        limits: thresholds, and how many images it takes.
    """
    reason = _why_not(arrived, parent, limits)
    if reason or parent is None:
        return [_label_drift(None, reason, limits.max_label_drift)] + [
            _property_drift(name, None, reason, limits.max_property_drift) for name in PROPERTIES
        ]
    sizes = len(parent), len(arrived)
    note = f"{sizes[1]:,} new images against {sizes[0]:,}"
    before, now = parent["label"].value_counts(), arrived["label"].value_counts()
    labels = before.index.union(now.index)
    index = psi(before.reindex(labels, fill_value=0).tolist(), now.reindex(labels, fill_value=0).tolist())
    return [
        _label_drift(index, note, max(limits.max_label_drift, psi_noise(len(labels), *sizes))),
        *(
            _property_drift(
                name,
                ks_statistic(_numbers(parent[name]), _numbers(arrived[name])),
                note,
                max(limits.max_property_drift, ks_noise(*sizes)),
            )
            for name in PROPERTIES
        ),
    ]


def _why_not(arrived: pd.DataFrame, parent: pd.DataFrame | None, limits: ValidationSettings) -> str:
    if parent is None:
        return "the first snapshot has no parent"
    for whose, images in (("new images", len(arrived)), ("images of the parent", len(parent))):
        if images < limits.min_arrived_images:
            return f"{images:,} {whose}, at least {limits.min_arrived_images}"
    return ""


def _numbers(column: pd.Series) -> np.ndarray:
    return column.dropna().to_numpy(dtype=np.float64)


def _label_drift(value: float | None, note: str, high: float) -> Measure:
    return Measure(
        "label_drift", "Drift", "Labels, against the parent's", value, note, "population stability index", high=high
    )


def _property_drift(name: str, value: float | None, note: str, high: float) -> Measure:
    title = f"{name.capitalize()}, against the parent's"
    return Measure(f"{name}_drift", "Drift", title, value, note, "Kolmogorov-Smirnov statistic", high=high)
