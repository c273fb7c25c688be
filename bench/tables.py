"""A snapshot of as many images as wanted, without the images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ml.snapshots import build_manifest, write_snapshot

if TYPE_CHECKING:
    from ml.context import Context

__all__ = ["store_snapshot"]

NOW = pd.Timestamp("2026-01-01", tz="UTC")


def store_snapshot(context: Context, images: int) -> str:
    """Store a snapshot whose tables say what those of so many different images would, and return its id."""
    ledger = _ledger(images, np.random.default_rng(0))
    counts = {"seen": images, "images": images, "added": images, "excluded": 0, "quarantined": 0}
    record = {"created_at": NOW.isoformat(), "notes": [], "releases": [], "quarantined_by_reason": {}, **counts}
    return write_snapshot(context.store, None, build_manifest(ledger), ledger, record)


def _ledger(images: int, generator: np.random.Generator) -> pd.DataFrame:
    digests = pd.Series([generator.bytes(32).hex() for _ in range(images)], dtype="str")
    numbers = pd.Series(np.arange(images)).astype("str")
    labels = pd.Series(np.array(["glioma", "meningioma", "notumor", "pituitary"])[np.arange(images) % 4], dtype="str")
    splits = generator.choice(["train", "validation", "test"], images, p=[0.7, 0.15, 0.15])
    nothing = pd.Series([None] * images, dtype="str")
    return pd.DataFrame(
        {
            "source_key": "landing/" + labels + "/" + numbers.str.zfill(7) + ".jpg",
            "etag": digests.str[:32],
            "last_modified": NOW,
            "bytes": generator.integers(5_000, 40_000, images),
            "label": labels,
            "reason": nothing,
            "image_id": digests,
            "pixel_id": digests,
            "uri": "images/" + digests.str[:2] + "/" + digests + ".jpg",
            "explicit_group": nothing,
            "group": digests.str[:16],
            "split": pd.Series(splits, dtype="str"),
            "excluded": nothing,
            "width": np.int32(224),
            "height": np.int32(224),
            "channels": np.int32(3),
            "format": "JPEG",
            "perceptual_hash": digests.str[-16:],
            "brightness": generator.normal(60, 10, images),
            "contrast": generator.normal(50, 8, images),
            "sharpness": generator.normal(800, 90, images),
            "ingested_at": NOW,
            "snapshot": "",
            "release": nothing,
        }
    )
