"""Task ``describe``: the pictures of a snapshot, kept beside it."""

from __future__ import annotations

import io
import logging
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from ml import layout
from ml.examples import sample_images
from ml.page_parts import SNAPSHOT_FIGURES
from ml.plots.eda import class_share_pie, count_plot, sample_grid
from ml.plots.style import png_bytes
from ml.snapshots import Snapshot
from ml.tombstones import drop_forgotten

if TYPE_CHECKING:
    import pandas as pd

    from ml.context import Context
    from ml.storage import Store

__all__ = ["run"]

log = logging.getLogger(__name__)


def run(context: Context, snapshot_id: str) -> dict[str, str]:
    """Draw the snapshot's count plot, pie chart and sample grid; returns their URIs by file name."""
    manifest = Snapshot(context.store, snapshot_id).manifest
    figures = (count_plot(manifest), class_share_pie(manifest), sample_grid(_samples(context.store, manifest)))
    uris = {}
    for (name, _, _), figure in zip(SNAPSHOT_FIGURES, figures, strict=True):
        key = layout.snapshot_key(snapshot_id, f"report/{name}")
        context.store.put(key, png_bytes(figure))
        uris[name] = context.store.uri(key)
    log.info("snapshot %s: %d figures in %s", snapshot_id, len(uris), layout.snapshot_key(snapshot_id, "report/"))
    return uris


def _samples(store: Store, manifest: pd.DataFrame) -> dict[str, list[np.ndarray]]:
    chosen = sample_images(drop_forgotten(store, manifest, "the snapshot"))
    return {str(label): [_thumbnail(store.get(uri)) for uri in rows["uri"]] for label, rows in chosen.groupby("label")}


def _thumbnail(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        image.thumbnail((256, 256))
        return np.asarray(image.convert("RGB"))
