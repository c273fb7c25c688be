import io
import json

import numpy as np
import pandas as pd
import pytest
from mlflow.tracking import MlflowClient
from PIL import Image
from sklearn.metrics import f1_score

from ml.candidates import load_candidate
from ml.context import Context
from ml.plan import load_samples
from ml.report import CANDIDATE_FIGURES
from ml.steps import evaluate, extract, list_missing, split, train

pytestmark = pytest.mark.slow


def predictions(run, variant):
    return pd.read_parquet(io.BytesIO(run.context.store.get(f"runs/{run.run_id}/{variant}/predictions.parquet")))


def test_winner_is_the_best_on_validation_images(first_run):
    rows = first_run.evaluation["leaderboard"]

    assert [row["variant"] for row in rows] == sorted(
        ("narrow", "wide"),
        key=lambda name: (-next(row["validation_macro_f1"] for row in rows if row["variant"] == name), name),
    )
    assert first_run.evaluation["chosen"] == rows[0]["variant"]


@pytest.mark.parametrize("variant", ["narrow", "wide"])
def test_figures_are_those_of_the_stored_predictions(first_run, variant):
    row = next(row for row in first_run.evaluation["leaderboard"] if row["variant"] == variant)
    table = predictions(first_run, variant)
    test = table[table["split"] == "test"]

    assert row["macro_f1"] == pytest.approx(f1_score(test["label"], test["predicted"], average="macro"))
    assert row["accuracy"] == pytest.approx((test["label"] == test["predicted"]).mean())
    np.testing.assert_allclose(table[["p_spots", "p_stripes"]].sum(axis=1), 1, atol=1e-5)


def test_every_held_out_image_is_predicted_and_no_training_image_is(first_run):
    samples = load_samples(first_run.context.store, "first")
    held_out = samples[samples["split"] != "train"]

    assert sorted(predictions(first_run, "wide")["image_id"]) == sorted(held_out["image_id"])


@pytest.mark.parametrize("name", [name for name, _, _ in CANDIDATE_FIGURES])
def test_figures_are_pictures_of_a_readable_size(first_run, name):
    with Image.open(io.BytesIO(first_run.context.store.get(f"runs/first/narrow/{name}"))) as picture:
        assert picture.format == "PNG"
        assert min(picture.size) >= 300


def test_metrics_and_figures_are_tracked(first_run):
    candidate = load_candidate(first_run.context.store, "first", "narrow")
    client = MlflowClient(first_run.context.settings.tracking_uri)
    run = client.get_run(candidate.mlflow_run_id)
    row = next(row for row in first_run.evaluation["leaderboard"] if row["variant"] == "narrow")

    assert run.info.status == "FINISHED"
    assert run.data.metrics["test_macro_f1"] == pytest.approx(row["macro_f1"])
    assert {artifact.path for artifact in client.list_artifacts(candidate.mlflow_run_id)} >= {"confusion.png"}


def test_first_run_has_no_champion_to_measure(first_run):
    assert first_run.evaluation["champion"] is None


def test_champion_is_measured_on_the_same_test_images(first_run, second_run):
    champion = second_run.evaluation["champion"]
    winner = first_run.evaluation["leaderboard"][0]

    assert (champion["version"], champion["variant"]) == (1, first_run.evaluation["chosen"])
    assert champion["macro_f1"] == pytest.approx(winner["macro_f1"])
    assert champion["metrics"]["images"] == second_run.plan["images"]["test"]


def test_champion_is_measured_as_it_was_made_whatever_the_settings_are_today(first_run):
    """Today's weights are others and the champion's maps are gone: its own are extracted for the test images alone."""
    then, store = first_run.context, first_run.context.store
    variant = first_run.evaluation["chosen"]
    weights = then.settings.weights.model_copy(update={"seed": 2})
    today = Context(then.settings.model_copy(update={"weights": weights}), store)
    plan = split.run(today, "third", variants=["narrow"])
    for part in list_missing.run(today, "third"):
        extract.run(today, "third", part)
    train.run(today, "third", "narrow")
    for info in list(store.list(load_candidate(store, "first", variant).features)):
        store.delete(info.key)

    champion = evaluate.run(today, "third")["champion"]

    assert champion["macro_f1"] == pytest.approx(first_run.evaluation["leaderboard"][0]["macro_f1"])
    split.run(then, "fourth", variants=[variant])
    assert [extract.run(then, "fourth", part)["extracted"] for part in list_missing.run(then, "fourth")] == [
        {variant: 34 - plan["images"]["test"]}
    ]


def test_evaluation_is_kept_as_it_was_returned(first_run):
    assert json.loads(first_run.context.store.get("runs/first/evaluation.json")) == first_run.evaluation
