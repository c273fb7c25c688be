"""What a retrain run trains on, laid down once by `split` and read by the tasks after it."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import pandas as pd

from ml import layout
from ml.storage import dump_json, read_json
from ml.tombstones import drop_forgotten

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Set as AbstractSet

    from ml.storage import Store

__all__ = ["load_plan", "load_samples", "store_plan", "training_images", "was_fitted_to"]


def store_plan(store: Store, plan: Mapping[str, Any], samples: pd.DataFrame) -> None:
    """Write the samples, then the plan that names their run.

    Args:
        store: of the run.
        plan: ``run_id``, ``snapshot_id`` and what else :func:`ml.steps.split.run` tells of the run.
        samples: image_id, uri, group, label (int, index into the classes), split and repeats.
    """
    run_id = plan["run_id"]
    buffer = io.BytesIO()
    samples.to_parquet(buffer, index=False)
    store.put(layout.run_key(run_id, "samples.parquet"), buffer.getvalue())
    store.put(layout.run_key(run_id, layout.PLAN), dump_json(plan))
    # A run of a name that was removed before is another one.
    store.delete(layout.removed_run_key(run_id))


def load_plan(store: Store, run_id: str) -> dict[str, Any]:
    """A run's plan, as :func:`store_plan` took it."""
    return dict(read_json(store, layout.run_key(run_id, layout.PLAN)))


def was_fitted_to(store: Store, run_id: str, image_ids: AbstractSet[str]) -> bool:
    """Whether a run trained on one of some images or chose by it, forgotten or not."""
    samples = _read_samples(store, run_id)
    return bool((samples["image_id"].isin(image_ids) & (samples["split"] != "test")).any())


def training_images(store: Store, run_id: str) -> pd.DataFrame:
    """What a run fitted weights to, forgotten since or not: columns image_id and group."""
    samples = _read_samples(store, run_id)
    return samples.loc[samples["split"] == "train", ["image_id", "group"]]


def load_samples(store: Store, run_id: str) -> pd.DataFrame:
    """A run's images, as :func:`store_plan` took them, without those that were forgotten since."""
    return drop_forgotten(store, _read_samples(store, run_id), f"run {run_id}")


def _read_samples(store: Store, run_id: str) -> pd.DataFrame:
    return pd.read_parquet(io.BytesIO(store.get(layout.run_key(run_id, "samples.parquet"))))
