"""Task ``train``, once a variant: train the attention head on the cached feature maps."""

from __future__ import annotations

import io
import logging
from typing import TYPE_CHECKING, Any

from ml import layout
from ml.ablation import train_ablation
from ml.batches import training_images, validation_images
from ml.candidates import DECISIVE, Candidate, store_candidate
from ml.checkpoints import stored_checkpoint
from ml.feature_plan import extraction_seconds, load_maps
from ml.features import FeatureReader
from ml.plan import load_plan, load_samples
from ml.registry import Registry
from ml.steps.tune import tuned_context
from ml.training import train_head
from ml.warm_start import Wanted, choose_start

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from ml.config import TrainSettings
    from ml.context import Context
    from ml.extraction import FeatureMaps
    from ml.training import TrainedHead
    from ml.warm_start import Start

__all__ = ["run"]

log = logging.getLogger(__name__)


def run(context: Context, run_id: str, variant: str) -> dict[str, Any]:
    """Train one head, and where the plan says so the same without attention; or go on where a killed task left it.

    Args:
        context: settings and store.
        run_id: of a run whose feature maps are all cached.
        variant: one of the run's.

    Returns:
        ``run_id``, ``variant``, ``epochs``, ``best_epoch`` with its ``val_macro_f1`` and ``val_loss``, and
        ``seconds`` (training alone).
    """
    context = tuned_context(context, run_id, variant)
    store, settings, plan = context.store, context.settings, load_plan(context.store, run_id)
    samples, maps = load_samples(store, run_id), load_maps(store, run_id)[variant]
    reader = FeatureReader(store, maps.prefix, settings.store.cache_dir)
    training, validation = training_images(samples, settings.augment), validation_images(samples)
    wanted = Wanted(run_id, variant, tuple(plan["classes"]), maps.fingerprint, reader.shape())
    registry = Registry(settings)
    start = choose_start(context, wanted)
    tracked = registry.start_run(run_id, variant, _parameters(context, plan, wanted, start))
    key = layout.run_key(run_id, variant, "checkpoint.npz")
    checkpoint = stored_checkpoint(store, key, {"feature maps": wanted.fingerprint})
    trained = train_head(
        reader,
        training,
        validation,
        len(wanted.classes),
        _settings(context, start),
        registry.epoch_log(tracked, variant),
        initial=start.weights,
        checkpoint=checkpoint,
        attention=settings.train.attention,
    )
    store.put(layout.run_key(run_id, variant, "history.parquet"), _parquet(trained.history))
    extraction = extraction_seconds(store, run_id, variant)
    candidate = _candidate(context, maps, plan, wanted, start, trained, tracked, extraction)
    store_candidate(store, candidate, trained.head)
    if plan["ablation"]:
        train_ablation(context, registry, candidate, reader, training, validation, extraction)
    checkpoint.remove()  # last: killed before, a new try finds the head trained
    return _outcome(wanted, trained)


def _outcome(wanted: Wanted, trained: TrainedHead) -> dict[str, Any]:
    epochs, best = len(trained.history), trained.history.iloc[trained.best_epoch - 1]
    log.info("%s: %d epochs in %.1f s, best %d", wanted.variant, epochs, trained.seconds, trained.best_epoch)
    return {
        "run_id": wanted.run_id,
        "variant": wanted.variant,
        "epochs": epochs,
        "best_epoch": trained.best_epoch,
        "val_macro_f1": float(best["val_macro_f1"]),
        "val_loss": float(best["val_loss"]),
        "seconds": trained.seconds,
    }


def _settings(context: Context, start: Start) -> TrainSettings:
    train = context.settings.train
    return train if start.weights is None else train.model_copy(update={"epochs": train.warm_epochs})


def _parameters(context: Context, plan: Mapping[str, Any], wanted: Wanted, start: Start) -> dict[str, Any]:
    settings = context.settings
    return (
        settings.train.model_dump()
        | settings.variants[wanted.variant].model_dump()
        | {
            "weights": settings.weights.source,
            "views": settings.augment.views,
            "snapshot_id": plan["snapshot_id"],
            "fingerprint": wanted.fingerprint,
            "started_from": start.candidate or "random weights",
        }
    )


def _candidate(
    context: Context,
    maps: FeatureMaps,
    plan: Mapping[str, Any],
    wanted: Wanted,
    start: Start,
    trained: TrainedHead,
    mlflow_run_id: str,
    extraction: float,
) -> Candidate:
    return Candidate(
        run_id=wanted.run_id,
        variant=wanted.variant,
        snapshot_id=plan["snapshot_id"],
        classes=wanted.classes,
        fingerprint=maps.fingerprint,
        feature_shape=wanted.feature_shape,
        weights_digest=maps.weights_digest,
        precision=maps.precision,
        settings=_decisive(context, maps.precision, trained.precision),
        best_epoch=trained.best_epoch,
        attention=context.settings.train.attention,
        seconds=extraction + trained.seconds,
        mlflow_run_id=mlflow_run_id,
        started_from=start.candidate,
        cold_because=start.cold_because,
    )


def _decisive(context: Context, extraction: str, training: str) -> dict[str, Any]:
    sections = context.settings.model_dump(mode="json", include=set(DECISIVE))
    # What `auto` meant on this machine is part of what the candidate is.
    sections["features"]["precision"], sections["train"]["precision"] = extraction, training
    return sections


def _parquet(history: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    history.to_parquet(buffer, index=False)
    return buffer.getvalue()
