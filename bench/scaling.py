"""``python -m bench.scaling N FOLDER``: extract and train on N images in a process of its own; prints JSON.

The images are a hundred drawn ones under N names: what they show does not matter here, and drawing 20,000 would take
longer than all the rest.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import pandas as pd
from mlflow import MlflowClient

from bench.drawn import draw, label_of
from ml.candidates import load_candidate
from ml.config import Settings
from ml.context import Context
from ml.phantom_slice import CLASSES
from ml.plan import store_plan
from ml.steps import extract, list_missing, train
from ml.storage import open_store

VARIANT, EPOCHS, FILES = "mobilenet", 3, 100


def run(count: int, folder: Path) -> dict[str, float]:
    """Seconds of extraction, of an epoch and of what precedes the first one, and peaks of resident memory, GiB."""
    context = _context(folder, count)
    _store_run(context, count)
    started = time.perf_counter()
    for part in list_missing.run(context, "scaling"):
        extract.run(context, "scaling", part)
    extraction = time.perf_counter() - started
    after_extraction = _peak_gib()
    trained = train.run(context, "scaling", VARIANT)
    epoch = _epoch_seconds(context)
    return {
        "images": count,
        "extraction_seconds": extraction,
        "epoch_seconds": epoch,
        "start_seconds": trained["seconds"] - EPOCHS * epoch,
        "extraction_peak_gib": after_extraction,
        "peak_gib": _peak_gib(),
    }


def _context(folder: Path, count: int) -> Context:
    settings = Settings.model_validate(
        {
            "store": {"url": str(folder / "store"), "cache_dir": folder / "cache"},
            "variants": {VARIANT: {"backbone": VARIANT}},
            "features": {"part_size": count},  # one part, so that what streams is all that can grow
            "weights": "random",
            "train": {"epochs": EPOCHS, "patience": EPOCHS},
            "tracking_uri": f"sqlite:///{folder / 'mlflow.db'}",
            "artifact_uri": str(folder / "artifacts"),
        }
    )
    return Context(settings, open_store(settings.store))


def _store_run(context: Context, count: int) -> None:
    for number in range(FILES):
        context.store.put(f"images/{number}.jpg", draw(number))
    numbers = range(count)
    splits = ["train"] * 7 + ["validation", "test", "train"]
    samples = pd.DataFrame(
        {
            "image_id": [f"{number:064x}" for number in numbers],
            "uri": [f"images/{number % FILES}.jpg" for number in numbers],
            "split": [splits[number // FILES % 10 if count >= 10 * FILES else number % 10] for number in numbers],
            "label": [CLASSES.index(label_of(number % FILES)) for number in numbers],
            "repeats": 1,
            "group": "",
        }
    )
    plan = {
        "run_id": "scaling",
        "snapshot_id": "drawn",
        "classes": list(CLASSES),
        "variants": [VARIANT],
        "images": {},
        "ablation": False,
    }
    store_plan(context.store, plan, samples)


def _epoch_seconds(context: Context) -> float:
    """Between the ends of two epochs, as tracked: the first one also compiles."""
    run_id = load_candidate(context.store, "scaling", VARIANT).mlflow_run_id
    points = MlflowClient(context.settings.tracking_uri).get_metric_history(run_id, "val_loss")
    ends = sorted(point.timestamp for point in points)
    return float(ends[-1] - ends[0]) / (len(ends) - 1) / 1000


def _peak_gib() -> float:
    """Of this program: what `getrusage` says goes back to the process that started it."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 2**20  # type: ignore[index]


if __name__ == "__main__":
    print(json.dumps(run(int(sys.argv[1]), Path(sys.argv[2]))))  # noqa: T201 - what the bench reads
