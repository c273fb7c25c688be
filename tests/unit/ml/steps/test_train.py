import io
import logging

import numpy as np
import pandas as pd
import pytest
from mlflow.tracking import MlflowClient

from ml.candidates import load_candidate, load_head
from ml.context import Context
from ml.precision import resolve_precision
from ml.registry import Registry
from ml.steps import split, train

pytestmark = pytest.mark.slow


@pytest.fixture
def candidate(first_run):
    return load_candidate(first_run.context.store, "first", "narrow")


def test_candidate_says_what_it_was_made_from(first_run, candidate):
    assert candidate.snapshot_id == first_run.plan["snapshot_id"]
    assert candidate.classes == ("spots", "stripes")
    assert candidate.fingerprint == first_run.extracted["narrow"]["fingerprint"]
    assert candidate.weights_digest == first_run.extracted["narrow"]["weights_digest"]
    assert candidate.settings["features"]["precision"] == "float32"
    assert candidate.settings["train"]["precision"] == resolve_precision("auto")


def test_time_is_that_of_extraction_and_training(first_run, candidate):
    extraction, training = first_run.extracted["narrow"]["seconds"], first_run.trained["narrow"]["seconds"]

    assert candidate.seconds == pytest.approx(extraction + training)


def test_history_and_best_epoch_belong_together(first_run, candidate):
    stored = first_run.context.store.get("runs/first/narrow/history.parquet")
    history = pd.read_parquet(io.BytesIO(stored))

    assert len(history) == first_run.trained["narrow"]["epochs"]
    best = history.iloc[candidate.best_epoch - 1]
    assert best["val_macro_f1"] == history["val_macro_f1"].max() == first_run.trained["narrow"]["val_macro_f1"]
    assert best["val_loss"] == first_run.trained["narrow"]["val_loss"]


def test_every_epoch_is_tracked_as_it_ends(first_run, candidate):
    client = MlflowClient(first_run.context.settings.tracking_uri)

    steps = [point.step for point in client.get_metric_history(candidate.mlflow_run_id, "val_loss")]
    assert steps == list(range(1, first_run.trained["narrow"]["epochs"] + 1))
    run = client.get_run(candidate.mlflow_run_id).data
    assert {"val_macro_f1", "learning_rate", "loss", "accuracy"} < run.metrics.keys()
    assert run.params["backbone"] == "mobilenet"
    assert run.params["schedule"] == "cosine"
    assert run.params["started_from"] == "random weights"


def weights_of(run, variant="narrow"):
    candidate = load_candidate(run.context.store, run.run_id, variant)
    return load_head(run.context.store, candidate, run.context.settings).get_weights()


def test_same_run_on_the_same_data_trains_the_same_head_bit_for_bit(first_run, second_run):
    for one, other in zip(weights_of(first_run), weights_of(second_run), strict=True):
        np.testing.assert_array_equal(one, other)


def test_nothing_is_left_of_a_checkpoint(first_run):
    assert not [info.key for info in first_run.context.store.list("runs/first/") if "checkpoint" in info.key]


def test_warm_training_goes_on_from_the_champions_run(first_run):
    """Of every variant: the champion is one of them, the other lies in the same run."""
    run = retrained(first_run, "warm", warm_start=True, warm_epochs=2)
    champion = Registry(first_run.context.settings).champion()

    for variant in ("narrow", "wide"):
        candidate = load_candidate(run.store, "warm", variant)
        assert candidate.started_from == f"{champion.run_id}/{variant}"
        assert candidate.cold_because is None
        assert len(history_of(run, "warm", variant)) == 2
    params = MlflowClient(run.settings.tracking_uri).get_run(candidate.mlflow_run_id).data.params
    assert params["started_from"] == candidate.started_from


def test_warm_training_that_cannot_be_trains_in_full_and_says_why(first_run, caplog):
    with caplog.at_level(logging.INFO, "ml.warm_start"):
        run = retrained(first_run, "cold", ["narrow"], warm_start=True, warm_epochs=2, units=12)
    candidate = load_candidate(run.store, "cold", "narrow")

    assert candidate.started_from is None
    assert candidate.cold_because.endswith("/narrow has other sizes of the head")
    assert candidate.cold_because in caplog.text
    assert len(history_of(run, "cold", "narrow")) == 4


def retrained(run, run_id, variants=("narrow", "wide"), **train_changes):
    """Train once more under other settings, without promoting anything; returns the context."""
    settings = run.context.settings
    changed = settings.train.model_copy(update=train_changes)
    context = Context(settings.model_copy(update={"train": changed}), run.context.store)
    split.run(context, run_id, variants=variants)
    for variant in variants:
        train.run(context, run.extracted[variant] | {"run_id": run_id, "seconds": 0.0})
    return context


def history_of(context, run_id, variant):
    return pd.read_parquet(io.BytesIO(context.store.get(f"runs/{run_id}/{variant}/history.parquet")))
