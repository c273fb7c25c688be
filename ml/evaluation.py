"""What is measured of one contender, and what is kept of it: figures, pictures, predictions, its leaderboard row."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ml import layout
from ml.explain import choose_examples, overlay_examples
from ml.latency import Latency, measure_latency
from ml.metrics import classification_metrics
from ml.plots.attention import attention_overlays
from ml.plots.evaluation import classification_report_table, confusion_heatmap
from ml.plots.style import png_bytes
from ml.plots.training import learning_curves
from ml.prediction import assemble
from ml.storage import dump_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ml.candidates import Contender
    from ml.context import Context
    from ml.registry import Registry

__all__ = ["leaderboard_row", "measure", "rank"]


def measure(
    context: Context, registry: Registry, contender: Contender, held_out: pd.DataFrame, output: Mapping[str, np.ndarray]
) -> dict[str, Any]:
    """Measure a contender of the run, time it, and keep everything in the store and at the tracking server.

    Args:
        context: settings and store.
        registry: the tracking server.
        contender: a head or an ensemble.
        held_out: the validation and test images: columns image_id, uri, label and split.
        output: ``probabilities`` float32 [N, C] and ``attention`` float32 [N, H, W] for the rows of ``held_out``.

    Returns:
        Its row of the leaderboard.
    """
    metrics = {
        split: classification_metrics(
            held_out["label"].to_numpy()[held_out["split"] == split],
            output["probabilities"][held_out["split"] == split],
            contender.classes,
        )
        for split in ("validation", "test")
    }
    size = contender.lead.restore_settings(context.settings).images.size
    latency = measure_latency(assemble(context, contender), size)
    pictures = _pictures(context, contender, held_out, output, metrics["test"])
    files = {
        **pictures,
        "predictions.parquet": _predictions(held_out, output["probabilities"], contender.classes),
        "latency.json": dump_json(latency._asdict()),
        "metrics.json": dump_json(metrics),
    }
    for name, data in files.items():
        context.store.put(layout.run_key(contender.run_id, contender.name, name), data)
    _track(registry, contender, metrics, latency, pictures)
    return leaderboard_row(contender, metrics, latency) | {"figures": list(pictures)}


def leaderboard_row(
    contender: Contender, metrics: Mapping[str, Mapping[str, Any]], latency: Latency | None
) -> dict[str, Any]:
    """A contender's row: ``validation_macro_f1`` chooses, ``metrics`` and the others are of the test split.

    ``members`` are the heads with their weights, one for a single candidate; ``ablation_of`` is the variant that a
    head without attention belongs to.
    """
    test = metrics["test"]
    return {
        "variant": contender.name,
        "ablation_of": contender.ablation_of,
        "members": [{"variant": member.candidate.name, "weight": member.weight} for member in contender.members],
        "validation_macro_f1": metrics["validation"]["macro_f1"] if "validation" in metrics else None,
        "accuracy": test["accuracy"],
        "macro_f1": test["macro_f1"],
        "seconds": contender.seconds,
        "latency_ms_p50": latency and latency.p50,
        "latency_ms_p95": latency and latency.p95,
        "weights": contender.lead.settings["weights"]["source"],
        "metrics": test,
    }


def rank(rows: Sequence[dict[str, Any]], promote_ablation: bool) -> list[dict[str, Any]]:
    """The leaderboard: by macro F1 on validation images, of equals the one with fewer members first.

    Ablations stand below all others, whatever they score, unless they may win.
    """

    def place(row: Mapping[str, Any]) -> tuple[bool, float, int, str]:
        shown_only = row["ablation_of"] is not None and not promote_ablation
        return shown_only, -row["validation_macro_f1"], len(row["members"]), row["variant"]

    return sorted(rows, key=place)


def _pictures(
    context: Context,
    contender: Contender,
    held_out: pd.DataFrame,
    output: Mapping[str, np.ndarray],
    test: Mapping[str, Any],
) -> dict[str, bytes]:
    """By file name; an ensemble has no epochs to draw, and an ablation looks everywhere alike."""
    figures = {
        "confusion.png": confusion_heatmap(np.array(test["confusion"]), contender.classes),
        "report.png": classification_report_table(pd.DataFrame(test["report"])),
    }
    if len(contender.members) == 1:
        stored = context.store.get(layout.run_key(contender.run_id, contender.name, "history.parquet"))
        history = pd.read_parquet(io.BytesIO(stored))
        figures["curves.png"] = learning_curves(history, contender.name, contender.lead.best_epoch)
    if contender.ablation_of is None:
        chosen = choose_examples(held_out, output["probabilities"])
        examples = overlay_examples(context.store, held_out, output, chosen, contender.classes)
        figures["attention.png"] = attention_overlays(examples)
    return {name: png_bytes(figure) for name, figure in figures.items()}


def _predictions(held_out: pd.DataFrame, probabilities: np.ndarray, classes: tuple[str, ...]) -> bytes:
    columns = {f"p_{label}": probabilities[:, index] for index, label in enumerate(classes)}
    frame = held_out[["image_id", "split", "label"]].assign(predicted=probabilities.argmax(axis=1), **columns)
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False)
    return buffer.getvalue()


def _track(
    registry: Registry,
    contender: Contender,
    metrics: Mapping[str, Mapping[str, Any]],
    latency: Latency,
    pictures: Mapping[str, bytes],
) -> None:
    names = ("accuracy", "macro_f1", "weighted_f1")
    figures = {f"{split}_{name}": float(metrics[split][name]) for split in metrics for name in names}
    by_class = {f"test_f1_class_{index}": float(row["f1"]) for index, row in enumerate(metrics["test"]["report"])}
    times = {"latency_ms_p50": latency.p50, "latency_ms_p95": latency.p95}
    registry.log_metrics(contender.mlflow_run_id, figures | by_class | times)
    registry.log_files(contender.mlflow_run_id, pictures)
    registry.finish_run(contender.mlflow_run_id, {"quartet.snapshot_id": contender.snapshot_id})
