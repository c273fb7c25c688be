"""What a served version's requests are compared with: its answers on its test images, and its snapshot's images."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ml import layout
from ml.candidates import load_candidate
from ml.errors import NotFoundError
from ml.promotions import served_at
from ml.request_drift import Reference
from ml.serving_state import CANARY, STABLE
from ml.snapshots import Snapshot
from ml.splits import SPLITS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ml.promotions import Change
    from ml.storage import Store

__all__ = ["load_reference", "rows_of_version"]


def load_reference(store: Store, change: Change) -> Reference | str:
    """The reference of the version that a record is about; or why there is none.

    Answers on training images would not do: a model is surer of what it has learnt.
    """
    try:
        candidate = load_candidate(store, change.run_id, change.variant)
        table = pd.read_parquet(
            io.BytesIO(store.get(layout.run_key(change.run_id, change.variant, "predictions.parquet")))
        )
        manifest = Snapshot(store, candidate.snapshot_id).manifest
    except NotFoundError as error:
        return f"what version {change.version} was made from is gone: {error.message}"
    columns = [f"p_{label}" for label in candidate.classes]
    probabilities = table.loc[table["split"] == "test", columns].to_numpy(dtype=np.float64)
    return Reference(candidate.classes, probabilities, manifest[manifest["split"].isin(SPLITS)])


def rows_of_version(rows: pd.DataFrame, version: int, changes: Sequence[Change]) -> pd.DataFrame:
    """The rows about a version's answers.

    REST does not tell which version has answered; where a label was asked, the record says what it meant at the time.

    Args:
        rows: with the columns of :data:`ml.request_rows.SCHEMA`.
        version: whose rows.
        changes: all records, the oldest first.
    """
    answered = [
        _meant(label, at, changes) if pd.isna(told) else int(told)
        for told, label, at in zip(rows["version"], rows["label"], rows["at"], strict=True)
    ]
    return rows[np.asarray([one == version for one in answered], dtype=bool)]


def _meant(label: str | None, at: pd.Timestamp, changes: Sequence[Change]) -> int | None:
    change = served_at(changes, at.to_pydatetime()) if label in {STABLE, CANARY} else None
    return change.serving.labels.get(str(label)) if change else None
