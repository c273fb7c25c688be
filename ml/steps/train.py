"""Task ``train``, once a variant: train the attention head on the cached feature maps."""

from __future__ import annotations

import io
import logging
from typing import TYPE_CHECKING, Any

import numpy as np

from ml import layout
from ml.candidates import DECISIVE, Candidate, store_candidate
from ml.checkpoints import stored_checkpoint
from ml.features import FeatureReader
from ml.plan import load_plan, load_samples
from ml.registry import Registry
from ml.training import LabelledImages, train_head
from ml.warm_start import Wanted, choose_start

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pandas as pd

    from ml.config import TrainSettings
    from ml.context import Context
    from ml.training import TrainedHead
    from ml.warm_start import Start

__all__ = ["run"]

log = logging.getLogger(__name__)


def run(context: Context, features: Mapping[str, Any]) -> dict[str, Any]:
    """Train one head, or go on where a task that was killed left it.

    Args:
        context: settings and store.
        features: what ``extract`` returned.

    Returns:
        ``run_id``, ``variant``, ``epochs``, ``best_epoch`` with its ``val_macro_f1`` and ``val_loss``, and
        ``seconds`` (training alone).
    """
    run_id, variant = str(features["run_id"]), str(features["variant"])
    store, plan = context.store, load_plan(context.store, run_id)
    samples = load_samples(store, run_id)
    prefix = layout.features_prefix(variant, features["fingerprint"])
    reader = FeatureReader(store, prefix, context.settings.store.cache_dir)
    wanted = Wanted(run_id, variant, tuple(plan["classes"]), features["fingerprint"], reader.shape())
    registry = Registry(context.settings)
    start = choose_start(context, registry, wanted)
    tracked = registry.start_run(run_id, variant, _parameters(context, plan, wanted, start))
    key = layout.run_key(run_id, variant, "checkpoint.npz")
    checkpoint = stored_checkpoint(store, key, {"feature maps": wanted.fingerprint})
    trained = train_head(
        reader,
        _training(samples),
        _labelled(samples[samples["split"] == "validation"]),
        len(wanted.classes),
        _settings(context, start),
        _epoch_log(registry, tracked, variant),
        initial=start.weights,
        checkpoint=checkpoint,
    )
    store.put(layout.run_key(run_id, variant, "history.parquet"), _parquet(trained.history))
    store_candidate(store, _candidate(context, features, plan, wanted, start, trained, tracked), trained.head)
    checkpoint.remove()
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
            "snapshot_id": plan["snapshot_id"],
            "fingerprint": wanted.fingerprint,
            "started_from": start.candidate or "random weights",
        }
    )


def _candidate(
    context: Context,
    features: Mapping[str, Any],
    plan: Mapping[str, Any],
    wanted: Wanted,
    start: Start,
    trained: TrainedHead,
    mlflow_run_id: str,
) -> Candidate:
    return Candidate(
        run_id=wanted.run_id,
        variant=wanted.variant,
        snapshot_id=plan["snapshot_id"],
        classes=wanted.classes,
        fingerprint=wanted.fingerprint,
        feature_shape=wanted.feature_shape,
        weights_digest=features["weights_digest"],
        precision=features["precision"],
        settings=_decisive(context, features["precision"], trained.precision),
        best_epoch=trained.best_epoch,
        seconds=features["seconds"] + trained.seconds,
        mlflow_run_id=mlflow_run_id,
        started_from=start.candidate,
        cold_because=start.cold_because,
    )


def _training(samples: pd.DataFrame) -> LabelledImages:
    rows = samples[samples["split"] == "train"]
    return _labelled(rows.loc[rows.index.repeat(rows["repeats"])])


def _labelled(rows: pd.DataFrame) -> LabelledImages:
    return LabelledImages(rows["image_id"].tolist(), rows["label"].to_numpy(dtype=np.int64))


def _epoch_log(registry: Registry, tracked: str, variant: str) -> Callable[[int, dict[str, float]], None]:
    """Logs an epoch, and tracks it unless a task that was killed did."""
    known = registry.logged_steps(tracked, "val_loss")

    def log_epoch(epoch: int, metrics: Mapping[str, float]) -> None:
        figures = ", ".join(f"{name} {value:.4g}" for name, value in metrics.items())
        log.info("%s: epoch %d, %s", variant, epoch, figures)
        if epoch not in known:
            registry.log_metrics(tracked, metrics, epoch)

    return log_epoch


def _decisive(context: Context, extraction: str, training: str) -> dict[str, Any]:
    sections = context.settings.model_dump(mode="json", include=set(DECISIVE))
    # What `auto` meant on this machine is part of what the candidate is.
    sections["features"]["precision"], sections["train"]["precision"] = extraction, training
    return sections


def _parquet(history: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    history.to_parquet(buffer, index=False)
    return buffer.getvalue()
