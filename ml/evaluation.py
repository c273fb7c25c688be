"""What is measured of one contender, and what is kept of it: figures, pictures, predictions, its leaderboard row."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ml import layout
from ml.explain import overlay_examples
from ml.intervals import metric_intervals
from ml.latency import measure_latency
from ml.leaderboard import leaderboard_row
from ml.metrics import classification_metrics
from ml.plots.attention import attention_overlays
from ml.plots.evaluation import classification_report_table, confusion_heatmap
from ml.plots.probabilities import class_curves, reliability_diagram
from ml.plots.style import png_bytes
from ml.plots.training import learning_curves
from ml.prediction import assemble
from ml.slices import measure_slices
from ml.storage import dump_json
from ml.temperature import fit_temperature, soften, store_temperature

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.figure import Figure

    from ml.candidates import Contender
    from ml.config import Settings
    from ml.context import Context
    from ml.latency import Latency
    from ml.registry import Registry

__all__ = ["measure", "measure_test", "predictions", "rank"]


def measure(
    context: Context,
    registry: Registry,
    contender: Contender,
    held_out: pd.DataFrame,
    slices: pd.DataFrame,
    output: Mapping[str, np.ndarray],
) -> dict[str, Any]:
    """Measure a contender of the run, time it, and keep everything in the store and at the tracking server.

    First its temperature is fitted to the validation images: what is measured are the probabilities that are served.

    Args:
        context: settings and store.
        registry: the tracking server.
        contender: a head or an ensemble.
        held_out: the validation and test images: columns image_id, uri, group, label and split.
        slices: of the test images, from :func:`ml.slices.slice_values`.
        output: ``probabilities`` float32 [N, C], before a temperature, and ``attention`` float32 [N, H, W] for the
            rows of ``held_out``.

    Returns:
        Its row of the leaderboard.
    """
    validation, test = ((held_out["split"] == split).to_numpy() for split in ("validation", "test"))
    labels, raw = held_out["label"].to_numpy(), output["probabilities"]
    temperature = fit_temperature(labels[validation], raw[validation])
    store_temperature(context.store, contender, temperature)
    served = soften(raw, temperature)
    metrics = {
        "validation": classification_metrics(labels[validation], served[validation], contender.classes),
        "test": measure_test(context.settings, held_out[test], slices, served[test], contender.classes),
    }
    size = contender.lead.restore_settings(context.settings).images.size
    latency = measure_latency(assemble(context, contender), size)
    groups = held_out["group"].to_numpy()[test].tolist()
    figures = {
        **_test_figures(contender, labels[test], served[test], groups, metrics["test"]),
        **_own_figures(context, contender, held_out, {**output, "probabilities": served}),
        "reliability.png": reliability_diagram(labels[test], raw[test], served[test], temperature, groups),
    }
    pictures = {name: png_bytes(figure) for name, figure in figures.items()}
    files = {
        **pictures,
        "predictions.parquet": predictions(held_out, served, contender.classes),
        "latency.json": dump_json(latency._asdict()),
        "metrics.json": dump_json(metrics),
    }
    for name, data in files.items():
        context.store.put(layout.run_key(contender.run_id, contender.name, name), data)
    _track(registry, contender, metrics, latency, pictures)
    return leaderboard_row(contender, metrics, latency, temperature) | {"figures": list(pictures)}


def measure_test(
    settings: Settings, images: pd.DataFrame, slices: pd.DataFrame, probabilities: np.ndarray, classes: tuple[str, ...]
) -> dict[str, Any]:
    """Metrics of test images, with their intervals and by slices.

    Args:
        settings: how small a slice may be.
        images: columns label and group.
        slices: of these images, from :func:`ml.slices.slice_values`.
        probabilities: of these images, as :func:`ml.metrics.classification_metrics` takes them.
        classes: the labels.

    Returns:
        What that function gives, with ``intervals`` and ``slices``.
    """
    labels, groups = images["label"].to_numpy(), images["group"].tolist()
    return {
        **classification_metrics(labels, probabilities, classes),
        "intervals": metric_intervals(labels, probabilities, classes, groups),
        "slices": measure_slices(
            slices, probabilities.argmax(axis=1) == labels, groups, settings.evaluation.min_slice_images
        ),
    }


def predictions(images: pd.DataFrame, probabilities: np.ndarray, classes: tuple[str, ...]) -> bytes:
    """A parquet file with what a contender answers for each image, so that any metric can be computed again.

    Args:
        images: columns image_id, split and label.
        probabilities: float [N, C], or [N, C + 1] with a last column for classes that are gone.
        classes: the C labels.

    Returns:
        Those columns, ``predicted`` (int, C for a class that is gone) and a column ``p_<label>`` for each class.
    """
    columns = {f"p_{label}": probabilities[:, index] for index, label in enumerate(classes)}
    frame = images[["image_id", "split", "label"]].assign(predicted=probabilities.argmax(axis=1), **columns)
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False)
    return buffer.getvalue()


def rank(rows: Sequence[dict[str, Any]], promote_ablation: bool) -> list[dict[str, Any]]:
    """The leaderboard: by macro F1 on validation images, of equals the one with fewer members first.

    Ablations stand below all others, whatever they score, unless they may win.
    """

    def place(row: Mapping[str, Any]) -> tuple[bool, float, int, str]:
        shown_only = row["ablation_of"] is not None and not promote_ablation
        return shown_only, -row["validation_macro_f1"], len(row["members"]), row["variant"]

    return sorted(rows, key=place)


def _test_figures(
    contender: Contender, labels: np.ndarray, served: np.ndarray, groups: Sequence[str], test: Mapping[str, Any]
) -> dict[str, Figure]:
    """Of the test images and their metrics, by file name."""
    return {
        "confusion.png": confusion_heatmap(
            np.array(test["confusion"]), contender.classes, test["intervals"]["confusion"]
        ),
        "report.png": classification_report_table(pd.DataFrame(test["report"])),
        "class_curves.png": class_curves(labels, served, test["report"], groups),
    }


def _own_figures(
    context: Context, contender: Contender, held_out: pd.DataFrame, output: Mapping[str, np.ndarray]
) -> dict[str, Figure]:
    """By file name; an ensemble has no epochs to draw, and without attention a head looks everywhere alike."""
    figures = {}
    if len(contender.members) == 1:
        stored = context.store.get(layout.run_key(contender.run_id, contender.name, "history.parquet"))
        history = pd.read_parquet(io.BytesIO(stored))
        figures["curves.png"] = learning_curves(history, contender.name, contender.lead.best_epoch)
    if contender.lead.attention:
        figures["attention.png"] = attention_overlays(overlay_examples(context, contender, held_out, output))
    return figures


def _track(
    registry: Registry,
    contender: Contender,
    metrics: Mapping[str, Mapping[str, Any]],
    latency: Latency,
    pictures: Mapping[str, bytes],
) -> None:
    names = ("accuracy", "macro_f1", "weighted_f1", "calibration_error")
    figures = {f"{split}_{name}": float(metrics[split][name]) for split in metrics for name in names}
    by_class = {f"test_f1_class_{index}": float(row["f1"]) for index, row in enumerate(metrics["test"]["report"])}
    ends, worst = metrics["test"]["intervals"]["macro_f1"], metrics["test"]["slices"]["worst"]
    if ends:
        figures |= {"test_macro_f1_low": ends[0], "test_macro_f1_high": ends[1]}
    if worst:
        figures["test_worst_slice_accuracy"] = worst["accuracy"]
    times = {"latency_ms_p50": latency.p50, "latency_ms_p95": latency.p95}
    registry.log_metrics(contender.mlflow_run_id, figures | by_class | times)
    registry.log_files(contender.mlflow_run_id, pictures)
    registry.finish_run(contender.mlflow_run_id, {"quartet.snapshot_id": contender.snapshot_id})
