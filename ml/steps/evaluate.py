"""Task ``evaluate``: measure every candidate, and the champion, on the same frozen test split."""

from __future__ import annotations

import io
import logging
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ml import layout
from ml.candidates import load_candidate, load_head
from ml.explain import choose_examples, overlay_examples
from ml.extraction import ensure_features
from ml.features import FeatureReader
from ml.metrics import align_probabilities, classification_metrics
from ml.plan import load_plan, load_samples
from ml.plots.attention import attention_overlays
from ml.plots.evaluation import classification_report_table, confusion_heatmap
from ml.plots.style import png_bytes
from ml.plots.training import learning_curves
from ml.registry import Registry
from ml.report import CANDIDATE_FIGURES
from ml.sources import image_sources
from ml.storage import dump_json
from ml.training import predict_head

if TYPE_CHECKING:
    from collections.abc import Mapping

    import keras

    from ml.candidates import Candidate
    from ml.context import Context

__all__ = ["run"]

log = logging.getLogger(__name__)


def run(context: Context, run_id: str) -> dict[str, Any]:
    """Evaluate the run's candidates and the champion.

    The winner is chosen by macro F1 on validation images; the test split decides nothing but the gate.

    Returns:
        ``run_id``, ``leaderboard`` (a row a candidate, the winner first), ``chosen`` and ``champion`` (a row with
        its ``version``, or None).
    """
    plan, samples = load_plan(context.store, run_id), load_samples(context.store, run_id)
    registry = Registry(context.settings)
    rows = [_evaluate(context, registry, plan, samples, variant) for variant in plan["variants"]]
    rows.sort(key=lambda row: (-row["validation_macro_f1"], row["variant"]))
    evaluation = {
        "run_id": run_id,
        "leaderboard": rows,
        "chosen": rows[0]["variant"],
        "champion": _evaluate_champion(context, registry, plan, samples),
    }
    context.store.put(layout.run_key(run_id, "evaluation.json"), dump_json(evaluation))
    best = rows[0]
    log.info("run %s: %s wins with validation macro F1 %.4f", run_id, best["variant"], best["validation_macro_f1"])
    return evaluation


def _evaluate(
    context: Context, registry: Registry, plan: Mapping[str, Any], samples: pd.DataFrame, variant: str
) -> dict[str, Any]:
    store = context.store
    candidate = load_candidate(store, plan["run_id"], variant)
    head = load_head(store, candidate, context.settings)
    reader = FeatureReader(store, candidate.features, context.settings.store.cache_dir)
    held_out = samples[samples["split"] != "train"].reset_index(drop=True)
    output = predict_head(head, reader, held_out["image_id"].tolist())
    metrics = _metrics(held_out, output["probabilities"], candidate.classes)
    files = _figures(context, candidate, held_out, output, metrics["test"])
    for name, data in files.items():
        store.put(layout.run_key(candidate.run_id, variant, name), data)
    predictions = _predictions(held_out, output["probabilities"], candidate.classes)
    store.put(layout.run_key(candidate.run_id, variant, "predictions.parquet"), predictions)
    store.put(layout.run_key(candidate.run_id, variant, "metrics.json"), dump_json(metrics))
    _track(registry, candidate, metrics, files)
    return _row(candidate, metrics)


def _metrics(held_out: pd.DataFrame, probabilities: np.ndarray, classes: tuple[str, ...]) -> dict[str, Any]:
    return {
        split: classification_metrics(
            held_out["label"].to_numpy()[held_out["split"] == split], probabilities[held_out["split"] == split], classes
        )
        for split in ("validation", "test")
    }


def _row(candidate: Candidate, metrics: Mapping[str, Any]) -> dict[str, Any]:
    test = metrics["test"]
    return {
        "variant": candidate.variant,
        "validation_macro_f1": metrics["validation"]["macro_f1"],
        "accuracy": test["accuracy"],
        "macro_f1": test["macro_f1"],
        "seconds": candidate.seconds,
        "weights": candidate.settings["weights"]["source"],
        "metrics": test,
    }


def _figures(
    context: Context,
    candidate: Candidate,
    held_out: pd.DataFrame,
    output: Mapping[str, np.ndarray],
    test: Mapping[str, Any],
) -> dict[str, bytes]:
    history = pd.read_parquet(
        io.BytesIO(context.store.get(layout.run_key(candidate.run_id, candidate.variant, "history.parquet")))
    )
    chosen = choose_examples(held_out, output["probabilities"])
    examples = overlay_examples(context.store, held_out, output, chosen, candidate.classes)
    figures = (
        learning_curves(history, candidate.variant, candidate.best_epoch),
        confusion_heatmap(np.array(test["confusion"]), candidate.classes),
        classification_report_table(pd.DataFrame(test["report"])),
        attention_overlays(examples),
    )
    return {name: png_bytes(figure) for (name, _, _), figure in zip(CANDIDATE_FIGURES, figures, strict=True)}


def _predictions(held_out: pd.DataFrame, probabilities: np.ndarray, classes: tuple[str, ...]) -> bytes:
    columns = {f"p_{label}": probabilities[:, index] for index, label in enumerate(classes)}
    frame = held_out[["image_id", "split", "label"]].assign(predicted=probabilities.argmax(axis=1), **columns)
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False)
    return buffer.getvalue()


def _track(
    registry: Registry, candidate: Candidate, metrics: Mapping[str, Mapping[str, Any]], files: Mapping[str, bytes]
) -> None:
    names = ("accuracy", "macro_f1", "weighted_f1")
    figures = {f"{split}_{name}": float(metrics[split][name]) for split in metrics for name in names}
    by_class = {f"test_f1_class_{index}": float(row["f1"]) for index, row in enumerate(metrics["test"]["report"])}
    registry.log_metrics(candidate.mlflow_run_id, figures | by_class)
    registry.log_files(candidate.mlflow_run_id, files)
    registry.finish_run(candidate.mlflow_run_id, {"quartet.snapshot_id": candidate.snapshot_id})


def _evaluate_champion(
    context: Context, registry: Registry, plan: Mapping[str, Any], samples: pd.DataFrame
) -> dict[str, Any] | None:
    """Measure the champion on today's test images; features of images it never saw are extracted for it."""
    champion = registry.champion()
    if champion is None:
        return None
    candidate = load_candidate(context.store, champion.run_id, champion.variant)
    head = load_head(context.store, candidate, context.settings)
    test = samples[samples["split"] == "test"]
    probabilities = _predict_champion(context, candidate, head, test)
    classes = tuple(plan["classes"])
    aligned = align_probabilities(probabilities, candidate.classes, classes)
    metrics = classification_metrics(test["label"].to_numpy(), aligned, classes)
    return _row(candidate, {"validation": metrics, "test": metrics}) | {
        "version": champion.version,
        "validation_macro_f1": None,
    }


def _predict_champion(context: Context, candidate: Candidate, head: keras.Model, test: pd.DataFrame) -> np.ndarray:
    cache = context.settings.store.cache_dir
    reader = FeatureReader(context.store, candidate.features, cache)
    if any(image_id not in reader for image_id in test["image_id"]):
        restored = candidate.restore_settings(context.settings)
        ensure_features(context, restored, candidate.variant, image_sources(test))
        reader = FeatureReader(context.store, candidate.features, cache)
    return predict_head(head, reader, test["image_id"].tolist())["probabilities"]
