"""Kills a training again and again, lets it go on each time, and tells whether it ends as an undisturbed one.

Run as a program: a process that is to be killed is forked from one that has done the imports, which takes seconds.
TensorFlow survives that as long as nothing was computed before.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import sys
import threading
import warnings
from hashlib import sha256
from pathlib import Path

import h5py
import numpy as np
import pandas as pd

from forking import forked
from ml.config import Settings
from ml.context import Context
from ml.extraction import FeatureMaps
from ml.feature_plan import store_maps
from ml.features import write_shard
from ml.layout import features_prefix, run_key
from ml.plan import store_plan
from ml.registry import Registry
from ml.steps import train
from ml.storage import open_store, read_json

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from mlflow.tracking import MlflowClient

EPOCHS, IMAGES, SHAPE = 30, 400, (3, 3, 32)


def context_of(folder: Path, precision: str) -> Context:
    settings = Settings.model_validate(
        {
            "store": {"url": str(folder / "store"), "cache_dir": folder / "cache"},
            "variants": {"drawn": {"backbone": "mobilenet"}},
            "weights": "random",
            "train": {
                "epochs": EPOCHS,
                "patience": EPOCHS,
                "units": 32,
                "key_dim": 16,
                "checkpoint_seconds": 0,
                "precision": precision,
            },
            "tracking_uri": f"sqlite:///{folder / 'mlflow.db'}",
            "artifact_uri": str(folder / "artifacts"),
        }
    )
    return Context(settings, open_store(settings.store))


def prepare(context: Context) -> None:
    """Lay down a run whose images are not easily told apart, so that no two epochs are alike."""
    generator = np.random.default_rng(0)
    ids, labels = [f"id{index}" for index in range(IMAGES)], np.arange(IMAGES) % 3
    maps = generator.normal(0, 1, (IMAGES, *SHAPE)) + 0.3 * labels[:, None, None, None]
    write_shard(context.store, features_prefix("drawn", "0"), ids, maps.astype(np.float16))
    split = np.where(np.arange(IMAGES) < 0.7 * IMAGES, "train", "validation")
    samples = pd.DataFrame({"image_id": ids, "uri": ids, "split": split, "label": labels, "repeats": 1})
    plan = {
        "run_id": "run",
        "snapshot_id": "000001",
        "classes": ["a", "b", "c"],
        "variants": ["drawn"],
        "images": {},
        "ablation": False,
    }
    store_plan(context.store, plan, samples)
    store_maps(context.store, "run", [FeatureMaps("drawn", "0", "1", "float32")])


class Reaper(logging.Handler):
    """Ends the process some time after the step has logged an epoch."""

    def __init__(self, epoch: int, seconds: float) -> None:
        super().__init__()
        self._marker, self._seconds = f"epoch {epoch},", seconds

    def emit(self, record: logging.LogRecord) -> None:
        if self._marker in record.getMessage():
            threading.Timer(self._seconds, os.kill, (os.getpid(), signal.SIGKILL)).start()


def killed_training(folder: Path, precision: str, epoch: int, seconds: float) -> None:
    log = logging.getLogger("ml.registry")
    log.setLevel(logging.INFO)
    log.addHandler(Reaper(epoch, seconds))
    train.run(context_of(folder, precision), "run", "drawn")


def training(folder: Path, precision: str) -> str:
    return json.dumps(train.run(context_of(folder, precision), "run", "drawn"))


def left_by(folder: Path, precision: str, answer: str) -> dict[str, object]:
    """What a training answered, wrote and tracked, without its seconds and the tracking server's id."""
    context = context_of(folder, precision)
    store, client = context.store, MlflowClient(context.settings.tracking_uri)
    runs = client.search_runs([client.get_experiment_by_name(context.settings.model_name).experiment_id])
    points = [client.get_metric_history(run.info.run_id, "val_loss") for run in runs]
    with h5py.File(folder / "store" / run_key("run", "drawn", "head.weights.h5")) as file:
        weights = {}
        file.visititems(
            lambda name, item: weights.update({name: item[()].tobytes()}) if isinstance(item, h5py.Dataset) else None
        )
    record = read_json(store, run_key("run", "drawn", "candidate.json"))
    return {
        "answer": {name: value for name, value in json.loads(answer).items() if name != "seconds"},
        "history": sha256(store.get(run_key("run", "drawn", "history.parquet"))).hexdigest(),
        "weights": {name: sha256(value).hexdigest() for name, value in sorted(weights.items())},
        "candidate": {name: value for name, value in record.items() if name not in {"seconds", "mlflow_run_id"}},
        "keys": [info.key for info in store.list("runs/")],
        "tracked": [[(point.step, point.value) for point in sorted(run, key=lambda one: one.step)] for run in points],
    }


def explore(folder: Path, precision: str, kills: int) -> dict[str, object]:
    base, undisturbed, disturbed = (folder / name for name in ("base", "undisturbed", "disturbed"))
    prepare(context_of(base, precision))
    # MLflow's tables take seconds to make: once, for both.
    forked(lambda: Registry(context_of(base, precision).settings).champion())
    for copy in (undisturbed, disturbed):
        shutil.copytree(base, copy)
    _, answer = forked(lambda: training(undisturbed, precision))
    if answer.startswith("failed"):
        raise SystemExit(answer)
    expected, seconds = left_by(undisturbed, precision, answer), json.loads(answer)["seconds"] / EPOCHS
    moments = np.sort(np.random.default_rng(kills).uniform(1, EPOCHS - 2, kills))
    outcomes = [
        forked(lambda moment=moment: killed_training(disturbed, precision, int(moment), moment % 1 * seconds))
        for moment in moments
    ]
    _, answer = forked(lambda: training(disturbed, precision))
    found = left_by(disturbed, precision, answer)
    return {
        "killed": sum(number == signal.SIGKILL for number, _ in outcomes),
        "epochs": len(expected["tracked"][0]),
        "different": sorted(name for name in expected if expected[name] != found[name]),
        "keys": found["keys"],
        "said": [said for _, said in outcomes if said],
    }


def main() -> None:
    """Arguments: a folder to work in, how often to kill, and the precisions to train in."""
    folder, kills = Path(sys.argv[1]), int(sys.argv[2])
    outcomes = {precision: explore(folder / precision, precision, kills) for precision in sys.argv[3:]}
    print(json.dumps(outcomes))  # noqa: T201 - the test reads it


if __name__ == "__main__":
    main()
