"""On real images and real ImageNet weights, where they are.

``QUARTET_REAL_DATA`` names a folder of labelled images, one folder a class; ``QUARTET_REAL_WEIGHTS`` a folder with
Keras's file of MobileNet of three quarters' width.
"""

import os
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import pytest

from ml.config import Settings
from ml.context import Context
from ml.steps import (
    describe,
    evaluate,
    examine,
    extract,
    gate,
    ingest,
    list_missing,
    promote,
    publish_snapshot,
    split,
    train,
    validate,
)
from ml.storage import open_store

DATA, WEIGHTS = os.environ.get("QUARTET_REAL_DATA"), os.environ.get("QUARTET_REAL_WEIGHTS")
IMAGES_PER_CLASS = 80

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.skipif(not DATA, reason="QUARTET_REAL_DATA names no folder of labelled images"),
]


@pytest.fixture
def context(tmp_path):
    settings = Settings.model_validate(
        {
            "store": {"url": str(tmp_path / "store"), "cache_dir": tmp_path / "cache"},
            "variants": {"mobilenet": {"backbone": "mobilenet", "alpha": 0.75}},
            "weights": {"source": "imagenet", "mirror": WEIGHTS, "download": False} if WEIGHTS else "random",
            "train": {"epochs": 12, "patience": 4},
            "gate": {"min_macro_f1": 0.5},
            "tracking_uri": f"sqlite:///{tmp_path / 'mlflow.db'}",
            "artifact_uri": str(tmp_path / "artifacts"),
        }
    )
    return Context(settings, open_store(settings.store))


@pytest.fixture
def snapshot(context):
    for folder in sorted(path for path in Path(DATA or "").iterdir() if path.is_dir()):
        for path in islice(sorted(folder.iterdir()), IMAGES_PER_CLASS):
            context.store.upload(path, f"landing/{folder.name}/{path.name}")
    arrivals = ingest.run(context, datetime.now(UTC))
    describe.run(context, arrivals["snapshot_id"])
    validate.run(context, arrivals["snapshot_id"])
    publish_snapshot.run(context, arrivals["snapshot_id"])
    return arrivals


def test_real_images_are_all_accounted_for(context, snapshot):
    uploaded = len(list(context.store.list("landing/")))

    assert snapshot["seen"] == uploaded
    assert snapshot["images"] + snapshot["duplicates"] + snapshot["quarantined"] == uploaded
    assert snapshot["quarantined"] == 0


@pytest.mark.skipif(not WEIGHTS, reason="QUARTET_REAL_WEIGHTS names no folder of ImageNet weights")
def test_pretrained_features_tell_real_images_apart(context, snapshot):
    split.run(context, "real")
    for part in list_missing.run(context, "real"):
        extract.run(context, "real", part)
    train.run(context, "real", "mobilenet")
    evaluation = evaluate.run(context, "real")

    assert evaluation["leaderboard"][0]["macro_f1"] > 0.75
    assert evaluation["leaderboard"][0]["weights"] == "imagenet"
    examine.run(context, "real")
    assert gate.run(context, "real")["promoted"]
    assert promote.run(context, "real")["version"] == 1
