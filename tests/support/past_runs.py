"""A run of `retrain` as its gate left it: the documents that a promotion looks at, without a training."""

from __future__ import annotations

import hashlib
import io
from dataclasses import asdict
from typing import Any

import pandas as pd

from candidates import make_candidate
from ml import layout
from ml.approval import load_decision
from ml.plan import store_plan
from ml.storage import dump_json

__all__ = ["IMAGES", "MISSED", "decide", "write_run"]

#: Four images: two to train on, one to choose by, one to test with.
IMAGES = {"train": ["1" * 64, "2" * 64], "validation": ["3" * 64], "test": ["4" * 64]}
MISSED = {
    "name": "macro F1",
    "passed": False,
    "measured": "0.7000",
    "required": "at least 0.9",
    "missing": "0.2000 short",
    "value": 0.7,
    "bound": 0.9,
}


def write_run(store: Any, run_id: str = "scheduled__2026-01-01T00:00:00+00:00", **candidate: Any) -> str:
    """Everything but the gate's decision; returns the run's id."""
    images = [(image, split) for split, ids in IMAGES.items() for image in ids]
    samples = pd.DataFrame(images, columns=["image_id", "split"])
    samples["group"] = samples["image_id"].str[:1]
    store_plan(store, {"run_id": run_id, "snapshot_id": "s"}, samples)
    record = make_candidate(run_id=run_id, variant="vgg16", **candidate)
    documents = {
        "evaluation.json": b"{}",
        "vgg16/candidate.json": dump_json(asdict(record)),
        "vgg16/examination.json": b"{}",
        "vgg16/head.weights.h5": b"weights",
        "vgg16/temperature.json": b"{}",
    }
    for name, data in documents.items():
        store.put(layout.run_key(run_id, name), data)
    manifest = io.BytesIO()
    samples.to_parquet(manifest)
    store.put(layout.snapshot_key("s", "manifest.parquet"), manifest.getvalue())
    return run_id


def decide(store: Any, run_id: str, *missed: dict[str, Any], champion: int | None = None, seen: int = 0) -> Any:
    """What the gate decided on it: cleared, unless rules were missed; returns it as it is loaded."""
    leaks = {"name": "test images seen in training", "passed": not seen, "measured": str(seen), "required": "none"}
    rules = [*missed, leaks | {"missing": "", "value": float(seen), "bound": 0.0}]
    keys = [layout.run_key(run_id, name) for name in ("evaluation.json", "vgg16/examination.json", "samples.parquet")]
    cleared = all(rule["passed"] for rule in rules)
    document = {
        "run_id": run_id,
        "variant": "vgg16",
        "promoted": cleared,
        "reason": "Cleared." if cleared else "Rejected.",
        "rules": rules,
        "champion": champion,
        "inputs": {key: hashlib.sha256(store.get(key)).hexdigest() for key in keys},
    }
    store.put(layout.run_key(run_id, layout.DECISION), dump_json(document))
    return load_decision(store, run_id)
