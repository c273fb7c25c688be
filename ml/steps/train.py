"""Task ``train``, once a variant: train the attention head on the cached feature maps."""

from __future__ import annotations

import io
import logging
from typing import TYPE_CHECKING, Any

import numpy as np

from ml import layout
from ml.ablation import train_ablation
from ml.candidates import DECISIVE, Candidate, store_candidate
from ml.feature_plan import extraction_seconds, load_maps
from ml.features import FeatureReader
from ml.plan import load_plan, load_samples
from ml.registry import Registry
from ml.training import LabelledImages, train_head

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from ml.context import Context
    from ml.extraction import FeatureMaps
    from ml.training import TrainedHead

__all__ = ["run"]

log = logging.getLogger(__name__)


def run(context: Context, run_id: str, variant: str) -> dict[str, Any]:
    """Train one head, and where the plan says so the same without attention.

    Args:
        context: settings and store.
        run_id: of a run whose feature maps are all cached.
        variant: one of the run's.

    Returns:
        ``run_id``, ``variant``, ``epochs``, ``best_epoch``, ``val_loss`` and ``seconds`` (training alone).
    """
    settings, plan = context.settings, load_plan(context.store, run_id)
    samples, maps = load_samples(context.store, run_id), load_maps(context.store, run_id)[variant]
    reader = FeatureReader(context.store, maps.prefix, settings.store.cache_dir)
    training, validation = _training(samples), _labelled(samples[samples["split"] == "validation"])
    registry = Registry(settings)
    parameters = settings.train.model_dump() | settings.variants[variant].model_dump()
    tracked = registry.start_run(run_id, variant, parameters | {"weights": settings.weights.source})
    trained = train_head(
        reader,
        training,
        validation,
        len(plan["classes"]),
        settings.train,
        lambda epoch, metrics: _log_epoch(registry, tracked, variant, epoch, metrics),
    )
    candidate = _candidate(context, maps, plan, trained, reader.shape(), tracked)
    context.store.put(layout.run_key(run_id, variant, "history.parquet"), _parquet(trained.history))
    store_candidate(context.store, candidate, trained.head)
    if plan["ablation"]:
        seconds = candidate.seconds - trained.seconds
        train_ablation(context, registry, candidate, reader, training, validation, seconds)
    epochs = len(trained.history)
    log.info("%s: %d epochs in %.1f s, best %d", variant, epochs, trained.seconds, trained.best_epoch)
    return {
        "run_id": run_id,
        "variant": variant,
        "epochs": epochs,
        "best_epoch": trained.best_epoch,
        "val_loss": float(trained.history["val_loss"].min()),
        "seconds": trained.seconds,
    }


def _candidate(
    context: Context,
    maps: FeatureMaps,
    plan: Mapping[str, Any],
    trained: TrainedHead,
    feature_shape: tuple[int, int, int],
    mlflow_run_id: str,
) -> Candidate:
    return Candidate(
        run_id=plan["run_id"],
        variant=maps.variant,
        snapshot_id=plan["snapshot_id"],
        classes=tuple(plan["classes"]),
        fingerprint=maps.fingerprint,
        feature_shape=feature_shape,
        weights_digest=maps.weights_digest,
        precision=maps.precision,
        settings=_decisive(context, maps.precision, trained.precision),
        best_epoch=trained.best_epoch,
        seconds=extraction_seconds(context.store, plan["run_id"], maps.variant) + trained.seconds,
        mlflow_run_id=mlflow_run_id,
    )


def _training(samples: pd.DataFrame) -> LabelledImages:
    rows = samples[samples["split"] == "train"]
    return _labelled(rows.loc[rows.index.repeat(rows["repeats"])])


def _labelled(rows: pd.DataFrame) -> LabelledImages:
    return LabelledImages(rows["image_id"].tolist(), rows["label"].to_numpy(dtype=np.int64))


def _log_epoch(registry: Registry, tracked: str, variant: str, epoch: int, metrics: Mapping[str, float]) -> None:
    log.info("%s: epoch %d, %s", variant, epoch, ", ".join(f"{name} {value:.4f}" for name, value in metrics.items()))
    registry.log_metrics(tracked, metrics, epoch)


def _decisive(context: Context, extraction: str, training: str) -> dict[str, Any]:
    sections = context.settings.model_dump(mode="json", include=set(DECISIVE))
    # What `auto` meant on this machine is part of what the candidate is.
    sections["features"]["precision"], sections["train"]["precision"] = extraction, training
    return sections


def _parquet(history: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    history.to_parquet(buffer, index=False)
    return buffer.getvalue()
