"""Decided runs, as the steps from `train` to `gate` leave them, without training anything."""

from __future__ import annotations

from dataclasses import asdict
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ml import layout
from ml.candidates import Candidate
from ml.gating import Evidence, decide
from ml.intervals import metric_intervals
from ml.latency import Latency
from ml.leaderboard import leaderboard_row
from ml.metrics import classification_metrics
from ml.page_parts import CANDIDATE_FIGURES
from ml.run_summaries import write_summary
from ml.slices import measure_slices
from ml.storage import dump_json

if TYPE_CHECKING:
    from ml.context import Context
    from ml.promotions import Champion
    from ml.run_summaries import RunSummary

__all__ = ["CLASSES", "store_run"]

CLASSES = ("glioma", "meningioma", "notumor", "pituitary")
#: Test images, a quarter of each class, two a group.
IMAGES = 120


def store_run(
    context: Context, run_id: str, wrong: int = 10, snapshot_id: str = "000001-0", champion: Champion | None = None
) -> RunSummary:
    """Store what is known of a run of two variants after the gate.

    Args:
        context: settings, whose gate decides, and store.
        run_id: of the run.
        wrong: test images that the winner, `mobilenet`, puts into another class; `vgg16` three more.
        snapshot_id: that it trained on.
        champion: that was measured beside it, with one image less wrong.
    """
    store = context.store
    rows = [_row(run_id, snapshot_id, name, worse) for name, worse in (("mobilenet", wrong), ("vgg16", wrong + 3))]
    beside = None
    if champion is not None:
        row = _row(champion.run_id, snapshot_id, champion.variant, max(0, wrong - 1))
        beside = row | {"version": champion.version, "run_id": champion.run_id}
    for row in rows:
        name = row["variant"]
        store.put(layout.run_key(run_id, name, "candidate.json"), dump_json(asdict(_head(run_id, snapshot_id, name))))
        row["figures"] = [file for file, _, _ in CANDIDATE_FIGURES]
        for file in row["figures"]:
            store.put(layout.run_key(run_id, name, file), b"a picture")
    evaluation = {
        "run_id": run_id,
        "leaderboard": rows,
        "chosen": rows[0]["variant"],
        "champion": beside,
        "confounders": [],
    }
    store.put(layout.run_key(run_id, "evaluation.json"), dump_json(evaluation))
    decision = decide(Evidence(rows[0]["metrics"], 20.0, 15.0), context.settings.gate).to_dict()
    document = {"run_id": run_id, "variant": rows[0]["variant"], **decision, "champion": champion and champion.version}
    store.put(layout.run_key(run_id, layout.DECISION), dump_json(document))
    return write_summary(store, context.settings.model_name, run_id)


def _row(run_id: str, snapshot_id: str, variant: str, wrong: int) -> dict[str, Any]:
    metrics = {"validation": _metrics(wrong), "test": _metrics(wrong)}
    return leaderboard_row(_head(run_id, snapshot_id, variant), metrics, Latency(20.0, 25.0), 1.1)


@cache
def _metrics(wrong: int) -> dict[str, Any]:
    """Of answers of which so many are wrong, one after the other, through all classes."""
    labels = np.arange(IMAGES) % len(CLASSES)
    answers = np.where(np.arange(IMAGES) < wrong, (labels + 1 + np.arange(IMAGES) % 3) % len(CLASSES), labels)
    probabilities = np.full((IMAGES, len(CLASSES)), 0.05)
    probabilities[np.arange(IMAGES), answers] = 0.85
    groups = [f"g{number // 2}" for number in range(IMAGES)]
    sites = pd.DataFrame({"site": np.array(["north", "south"])[np.arange(IMAGES) // 2 % 2]})
    return {
        **classification_metrics(labels, probabilities, CLASSES),
        "intervals": metric_intervals(labels, probabilities, CLASSES, groups),
        "slices": measure_slices(sites, answers == labels, groups, 10),
    }


def _head(run_id: str, snapshot_id: str, variant: str) -> Candidate:
    return Candidate(
        run_id=run_id,
        snapshot_id=snapshot_id,
        classes=CLASSES,
        seconds=300.0,
        mlflow_run_id="none",
        variant=variant,
        fingerprint="0" * 12,
        feature_shape=(7, 7, 1024),
        weights_digest="0" * 64,
        precision="float32",
        settings={"weights": {"source": "imagenet", "seed": 1}},
        best_epoch=10,
    )
