"""Task ``split``: lay down what a run trains on, from the splits that the snapshot carries."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ml.errors import DataError
from ml.gating import check_classes
from ml.manifest import classes_of
from ml.plan import store_plan
from ml.run_identity import identity_of
from ml.run_settings import Asked, differences, lay_over, run_notice
from ml.sampling import oversample
from ml.snapshots import Snapshot, latest_snapshot_id
from ml.splits import SPLITS, count_by_split
from ml.tombstones import drop_forgotten

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from ml.context import Context

__all__ = ["run"]

log = logging.getLogger(__name__)


def run(
    context: Context,
    run_id: str,
    snapshot_id: str | None = None,
    variants: Sequence[str] | None = None,
    asked: Asked | None = None,
) -> dict[str, Any]:
    """Write the run's plan and its samples.

    Each image was given its split when it arrived; what is decided here is only how often an epoch sees a training
    image (``repeats``: oversampling touches nothing else, and is one of the ways of ``train.imbalance``).

    Args:
        context: settings as configured, and store.
        run_id: names everything the run writes.
        snapshot_id: the newest published one by default.
        variants: names of the variants to train, all by default.
        asked: what else was asked of the run. What it chooses is laid over the settings here, and in every later step
            by :meth:`ml.context.Context.for_run`.

    Returns:
        ``run_id``, ``snapshot_id``, ``classes``, ``variants``, ``ablation`` (whether each variant also trains a head
        without attention), ``images`` by split, ``trials``, ``force``, ``overrides`` that were chosen, ``differences``
        to the configured settings that they make, ``reason``, ``asked_by`` and ``identity``
        (:mod:`ml.run_identity`).

    Raises:
        ConfigError: there is no variant of a name, what was chosen is refused by the settings, or the gate asks for
            something of a class that there is not.
        DataError: there is no snapshot, or a class has no image in a split.
    """
    asked = asked or Asked()
    configured, context = context.settings, replace(context, settings=lay_over(context.settings, asked.choices))
    names = list(dict.fromkeys(variants or context.settings.variants))
    for name in names:
        context.settings.variant(name)
    snapshot_id = snapshot_id or latest_snapshot_id(context.store)
    if snapshot_id is None:
        raise DataError("There is no published snapshot.", "Upload images and run `ingest_images`.")
    manifest = drop_forgotten(context.store, Snapshot(context.store, snapshot_id).manifest, f"snapshot {snapshot_id}")
    classes = classes_of(manifest, context.settings)
    _check(manifest, classes, snapshot_id)
    check_classes(context.settings.gate, classes)
    samples = _samples(manifest, classes, context)
    plan = {
        "run_id": run_id,
        "snapshot_id": snapshot_id,
        "classes": list(classes),
        "variants": names,
        "ablation": context.settings.candidates.ablation,
        "images": {split: int((samples["split"] == split).sum()) for split in SPLITS},
        "trials": asked.trials,
        "force": asked.force,
        "overrides": dict(asked.choices),
        "differences": [one._asdict() for one in differences(configured, context.settings)],
        "reason": asked.reason,
        "asked_by": asked.by,
    }
    plan["identity"] = identity_of(context.settings, plan, samples)
    store_plan(context.store, plan, samples)
    seen = int(samples["repeats"][samples["split"] == "train"].sum())
    if notice := run_notice(plan):
        log.info("%s", notice)
    log.info("run %s: snapshot %s, %s, %d images an epoch", run_id, snapshot_id, plan["images"], seen)
    return plan


def _check(manifest: pd.DataFrame, classes: tuple[str, ...], snapshot_id: str) -> None:
    if len(classes) < 2:
        raise DataError(
            f"Snapshot {snapshot_id} has the single class {', '.join(classes)}.", "A classifier needs two or more."
        )
    table = count_by_split(manifest["label"], manifest["split"], classes)
    empty = [f"{label} has none in {split}" for label in table.index for split in SPLITS if not table.loc[label, split]]
    if empty:
        raise DataError(
            f"Snapshot {snapshot_id} cannot be trained on: {'; '.join(empty)}.", "Upload more images of these classes."
        )


def _samples(manifest: pd.DataFrame, classes: tuple[str, ...], context: Context) -> pd.DataFrame:
    known = manifest[manifest["label"].isin(classes) & manifest["split"].isin(SPLITS)].sort_values("image_id")
    samples = known[["image_id", "uri", "group", "split"]].reset_index(drop=True)
    samples["label"] = known["label"].map(classes.index).to_numpy(dtype=np.int64)
    samples["repeats"] = 1
    training = np.flatnonzero(samples["split"] == "train")
    train = context.settings.train
    drawn = oversample(samples["label"].to_numpy()[training], train.imbalance, train.seed)
    repeats = samples["repeats"].to_numpy(copy=True)
    repeats[training] = np.bincount(drawn, minlength=len(training))
    return samples.assign(repeats=repeats)
