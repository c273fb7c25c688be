import io
import logging

import numpy as np
import pandas as pd
import pytest
from mlflow.tracking import MlflowClient

from ml.candidates import load_candidate, load_head
from ml.context import Context
from ml.feature_plan import load_maps
from ml.precision import resolve_precision
from ml.promotions import find_champion
from ml.steps import split, train

from .conftest import extract_features

pytestmark = pytest.mark.slow


@pytest.fixture
def candidate(first_run):
    return load_candidate(first_run.context.store, "first", "narrow")


def test_candidate_says_what_it_was_made_from(first_run, candidate):
    assert candidate.snapshot_id == first_run.plan["snapshot_id"]
    assert candidate.classes == ("spots", "stripes")
    maps = load_maps(first_run.context.store, "first")["narrow"]
    assert (candidate.fingerprint, candidate.weights_digest) == (maps.fingerprint, maps.weights_digest)
    assert candidate.settings["features"]["precision"] == "float32"
    assert candidate.settings["train"]["precision"] == resolve_precision("auto")


def test_time_is_that_of_extraction_and_training(first_run, candidate):
    (part,) = first_run.extracted
    extraction, training = part["seconds"]["narrow"], first_run.trained["narrow"]["seconds"]

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


def test_ablation_is_kept_beside_the_head_that_it_is_compared_with(voting_run):
    store = voting_run.context.store
    head, ablation = (load_candidate(store, "vote", name) for name in ("narrow", "narrow-no-attention"))

    assert (ablation.name, ablation.ablation_of, head.ablation_of) == ("narrow-no-attention", "narrow", None)
    assert (ablation.fingerprint, ablation.settings) == (head.fingerprint, head.settings)
    history = pd.read_parquet(io.BytesIO(store.get("runs/vote/narrow-no-attention/history.parquet")))
    best = history.sort_values(["val_macro_f1", "val_loss"], ascending=[False, True]).iloc[0]
    assert best["epoch"] == ablation.best_epoch


def test_ablation_has_a_tracking_run_of_its_own(voting_run):
    ablation = load_candidate(voting_run.context.store, "vote", "narrow-no-attention")
    client = MlflowClient(voting_run.context.settings.tracking_uri)

    run = client.get_run(ablation.mlflow_run_id)
    assert run.data.tags["quartet.variant"] == "narrow-no-attention"
    assert run.data.params["attention"] == "False"
    assert len(client.get_metric_history(ablation.mlflow_run_id, "val_loss")) >= ablation.best_epoch


def test_without_the_setting_no_ablation_is_trained(first_run):
    assert not list(first_run.context.store.list("runs/first/narrow-no-attention/"))


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
    champion = find_champion(first_run.context.store, "tiny")

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
    extract_features(context, run_id)
    for variant in variants:
        train.run(context, run_id, variant)
    return context


def history_of(context, run_id, variant):
    return pd.read_parquet(io.BytesIO(context.store.get(f"runs/{run_id}/{variant}/history.parquet")))
