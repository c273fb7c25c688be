"""The ablation: a variant's head once more without attention, so that a run says what attention is worth."""

from __future__ import annotations

import dataclasses
import io
import logging
from typing import TYPE_CHECKING

from ml import layout
from ml.candidates import store_candidate
from ml.training import train_head

if TYPE_CHECKING:
    from ml.candidates import Candidate
    from ml.context import Context
    from ml.features import FeatureReader
    from ml.registry import Registry
    from ml.training import LabelledImages

__all__ = ["train_ablation"]

log = logging.getLogger(__name__)


def train_ablation(
    context: Context,
    registry: Registry,
    candidate: Candidate,
    reader: FeatureReader,
    training: LabelledImages,
    validation: LabelledImages,
    extraction_seconds: float,
) -> Candidate:
    """Train a head that differs from the candidate's in nothing but attention, and store it beside that one.

    Args:
        context: settings and store.
        registry: where it gets a run of its own.
        candidate: the head with attention, just trained.
        reader: the cached feature maps of both.
        training: as the candidate saw them.
        validation: likewise.
        extraction_seconds: what the feature maps of both took.
    """
    run_id, name = candidate.run_id, layout.ablation_name(candidate.variant)
    parameters = context.settings.train.model_dump() | context.settings.variants[candidate.variant].model_dump()
    tracked = registry.start_run(run_id, name, parameters | {"attention": False})
    trained = train_head(
        reader,
        training,
        validation,
        len(candidate.classes),
        context.settings.train,
        registry.epoch_log(tracked, name),
        attention=False,
    )
    ablation = dataclasses.replace(
        candidate,
        attention=False,
        started_from=None,
        cold_because=None,
        best_epoch=trained.best_epoch,
        seconds=extraction_seconds + trained.seconds,
        mlflow_run_id=tracked,
    )
    buffer = io.BytesIO()
    trained.history.to_parquet(buffer, index=False)
    context.store.put(layout.run_key(run_id, name, "history.parquet"), buffer.getvalue())
    store_candidate(context.store, ablation, trained.head)
    log.info("%s: %d epochs in %.1f s, best %d", name, len(trained.history), trained.seconds, trained.best_epoch)
    return ablation
