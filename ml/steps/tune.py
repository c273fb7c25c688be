"""Task ``tune``, once a variant and only when asked for: find the head's hyper-parameters that do best."""

from __future__ import annotations

import logging
import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ml import layout
from ml.batches import training_images, validation_images
from ml.context import Context
from ml.errors import NotFoundError
from ml.feature_plan import load_maps
from ml.features import FeatureReader
from ml.plan import load_plan, load_samples
from ml.storage import dump_json, read_json
from ml.training import train_head
from ml.tuning import draw_changes, halve

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["run", "tuned_context"]

log = logging.getLogger(__name__)


def run(context: Context, run_id: str, variant: str, trials: int) -> dict[str, Any]:
    """Try hyper-parameters on the cached feature maps, by macro F1 on validation images; the test split has no say.

    Args:
        context: settings and store.
        run_id: of a run whose feature maps are all cached.
        variant: one of the run's.
        trials: how many choices, the configured one among them.

    Returns:
        ``run_id``, ``variant``, ``changes`` of the best and ``trials``, the best first.
    """
    store, settings, plan = context.store, context.settings, load_plan(context.store, run_id)
    samples = load_samples(store, run_id)
    reader = FeatureReader(store, load_maps(store, run_id)[variant].prefix, settings.store.cache_dir)
    training, validation = training_images(samples, settings.augment), validation_images(samples)

    def train(changes: Mapping[str, Any], epochs: int) -> tuple[float, float]:
        chosen = settings.train.model_copy(update={**changes, "epochs": epochs, "patience": epochs})
        trained = train_head(reader, training, validation, len(plan["classes"]), chosen, attention=chosen.attention)
        best = trained.history.iloc[trained.best_epoch - 1]
        return float(best["val_macro_f1"]), float(best["val_loss"])

    ranked = halve(draw_changes(trials, settings.train.seed), settings.train.epochs, train)
    document = {
        "run_id": run_id,
        "variant": variant,
        "changes": dict(ranked[0].changes),
        # What was never trained has no loss.
        "trials": [asdict(one) | {"val_loss": one.val_loss if math.isfinite(one.val_loss) else None} for one in ranked],
    }
    store.put(layout.run_key(run_id, variant, "tuning.json"), dump_json(document))
    log.info("%s: the best of %d trials changes %s", variant, trials, document["changes"] or "nothing")
    return document


def tuned_context(context: Context, run_id: str, variant: str) -> Context:
    """The settings with what the run's search found for a variant; as they are where there was none."""
    try:
        changes = read_json(context.store, layout.run_key(run_id, variant, "tuning.json"))["changes"]
    except NotFoundError:
        return context
    train = context.settings.train.model_copy(update=changes)
    return Context(context.settings.model_copy(update={"train": train}), context.store)
