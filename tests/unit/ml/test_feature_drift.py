"""Against a real registry and cache, with feature maps that are drawn: no backbone runs."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, replace

import numpy as np
import pandas as pd
import pytest

from ml import layout
from ml.candidates import Candidate, Ensemble, Member, store_ensemble
from ml.context import Context
from ml.feature_drift import measure_feature_drift
from ml.features import write_shard
from ml.manifest import LEDGER, MANIFEST, empty
from ml.registry import Registry
from ml.snapshots import Snapshot, write_snapshot
from ml.storage import dump_json
from promoted import record_promotion

# MLflow creates its database.
slow = pytest.mark.slow

FINGERPRINT = "0123456789abcdef"
TIME = pd.Timestamp("2026-01-01", tz="UTC")


def ids(prefix, count):
    return [hashlib.sha256(f"{prefix}{number}".encode()).hexdigest() for number in range(count)]


def rows(image_ids, snapshot=""):
    text = dict.fromkeys(("uri", "source_key", "label", "format", "perceptual_hash"), "x")
    numbers = dict.fromkeys(("width", "height", "channels", "bytes", "brightness", "contrast", "sharpness"), 1)
    frame = pd.DataFrame({"image_id": image_ids, "pixel_id": image_ids, "group": image_ids})
    return frame.assign(**text, **numbers, split="train", excluded=None, ingested_at=TIME, snapshot=snapshot)[
        MANIFEST.columns.names
    ]


@pytest.fixture
def trained_snapshot(store):
    """What the champion was trained on: 60 images."""
    return Snapshot(store, write_snapshot(store, None, rows(ids("old", 60)), empty(LEDGER), {}))


@pytest.fixture
def snapshot(store, trained_snapshot):
    """With 40 images more."""
    manifest = pd.concat([trained_snapshot.manifest, rows(ids("new", 40))], ignore_index=True)
    return Snapshot(store, write_snapshot(store, trained_snapshot, manifest, empty(LEDGER), {}))


@pytest.fixture
def cache(store):
    """Stores drawn feature maps of images; ``shift`` is added to all."""

    def put(image_ids, shift=0.0):
        generator = np.random.default_rng(len(image_ids))
        maps = generator.normal(shift, 1, (len(image_ids), 2, 2, 8)).astype(np.float16)
        write_shard(store, layout.features_prefix("narrow", FINGERPRINT), image_ids, maps)

    return put


@pytest.fixture
def promote(settings, store, trained_snapshot):
    """Makes a candidate that was trained on the first snapshot the champion."""

    def run(with_record=True, ensemble=False):
        registry = Registry(settings)
        tracked = registry.start_run("run", "narrow", {})
        candidate = Candidate(
            run_id="run",
            variant="narrow",
            snapshot_id=trained_snapshot.snapshot_id,
            classes=("a", "b"),
            fingerprint=FINGERPRINT,
            feature_shape=(2, 2, 8),
            weights_digest="",
            precision="float32",
            settings={},
            best_epoch=0,
            seconds=0,
            mlflow_run_id=tracked,
        )
        if with_record:
            store.put(layout.run_key("run", "narrow", "candidate.json"), dump_json(asdict(candidate)))
        champion = _ensemble(store, candidate) if ensemble else candidate
        record_promotion(store, settings.model_name, "run", champion.name)

    return run


def _ensemble(store, candidate):
    """Of the candidate and a lighter member, which has no feature maps."""
    other = replace(candidate, variant="wide", fingerprint="other")
    store.put(layout.run_key("run", "wide", "candidate.json"), dump_json(asdict(other)))
    ensemble = Ensemble(
        run_id="run",
        snapshot_id=candidate.snapshot_id,
        classes=candidate.classes,
        seconds=0,
        mlflow_run_id=candidate.mlflow_run_id,
        voters=(Member(other, 0.3), Member(candidate, 0.7)),
    )
    store_ensemble(store, ensemble)
    return ensemble


def test_few_new_images_are_not_measured(context, snapshot, make_settings):
    strict = make_settings({"validation": {"min_arrived_images": 41}})
    measure = measure_feature_drift(Context(strict, context.store), snapshot)

    assert (measure.value, measure.note) == (None, "40 new images, at least 41")


def test_without_any_feature_maps_the_registry_is_not_asked(context, snapshot, tmp_path):
    measure = measure_feature_drift(context, snapshot)

    assert (measure.value, measure.note) == (None, "no cached feature maps yet")
    assert not (tmp_path / "mlflow.db").exists()


@slow
def test_without_a_champion_nothing_is_measured(context, snapshot, cache):
    cache(ids("old", 60))

    assert measure_feature_drift(context, snapshot).note == "no champion yet"


@slow
def test_new_images_without_feature_maps_are_not_measured(context, snapshot, cache, promote):
    cache(ids("old", 60))
    promote()
    measure = measure_feature_drift(context, snapshot)

    assert (measure.value, measure.note) == (None, "no cached feature maps of the 40 new images yet")


@slow
@pytest.mark.parametrize(
    ("old", "new", "note"),
    [
        (60, 12, "cached feature maps of 12 new images, at least 30"),
        (12, 40, "cached feature maps of 12 images the champion was trained on, at least 30"),
    ],
    ids=["new", "old"],
)
def test_few_feature_maps_are_not_measured(context, snapshot, cache, promote, old, new, note):
    cache(ids("old", old))
    cache(ids("new", new))
    promote()
    measure = measure_feature_drift(context, snapshot)

    assert (measure.value, measure.note) == (None, note)


@slow
def test_a_champion_whose_files_are_gone_is_named(context, snapshot, cache, promote):
    cache(ids("old", 60))
    promote(with_record=False)

    assert measure_feature_drift(context, snapshot).note == "the files of the champion's run run are gone"


@slow
@pytest.mark.parametrize(("shift", "small"), [(0.0, False), (1.0, True)], ids=["same", "shifted"])
def test_features_of_new_images_are_tested_against_the_champions(context, snapshot, cache, promote, shift, small):
    cache(ids("old", 60))
    cache(ids("new", 40), shift)
    promote()
    measure = measure_feature_drift(context, snapshot)

    assert (measure.value < 0.01) is small
    assert measure.low == 0.01
    assert measure.note.endswith(f"40 new images against 60 of snapshot {snapshot.record['parent']}")


@slow
def test_features_of_an_ensembles_leading_member_are_tested(context, snapshot, cache, promote):
    cache(ids("old", 60))
    cache(ids("new", 40), 1.0)
    promote(ensemble=True)
    measure = measure_feature_drift(context, snapshot)

    assert measure.value < 0.01
    assert measure.note.startswith("narrow, ")


@slow
def test_no_more_images_are_read_than_the_settings_say(context, make_settings, snapshot, cache, promote):
    cache(ids("old", 60))
    cache(ids("new", 40))
    promote()
    few = make_settings({"validation": {"max_feature_images": 35}})

    assert "35 new images against 35" in measure_feature_drift(Context(few, context.store), snapshot).note
