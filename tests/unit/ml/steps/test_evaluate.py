import io
import json

import numpy as np
import pandas as pd
import pytest
from mlflow.tracking import MlflowClient
from PIL import Image
from sklearn.metrics import f1_score

from ml.candidates import load_candidate
from ml.config import CandidateSettings
from ml.context import Context
from ml.feature_plan import load_maps
from ml.page_parts import CANDIDATE_FIGURES
from ml.plan import load_samples
from ml.steps import evaluate, split, train
from ml.storage import dump_json
from ml.temperature import fit_temperature, load_temperature, soften

from .conftest import extract_features

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


@pytest.mark.parametrize("variant", ["narrow", "wide"])
def test_intervals_hold_the_figures_and_count_the_groups(first_run, variant):
    row = next(row for row in first_run.evaluation["leaderboard"] if row["variant"] == variant)
    samples = load_samples(first_run.context.store, "first")

    intervals = row["metrics"]["intervals"]

    low, high = intervals["macro_f1"]
    assert low <= row["macro_f1"] <= high
    assert intervals["groups"] == samples.loc[samples["split"] == "test", "group"].nunique()
    tracked = MlflowClient(first_run.context.settings.tracking_uri).get_run(
        load_candidate(first_run.context.store, "first", variant).mlflow_run_id
    )
    assert (tracked.data.metrics["test_macro_f1_low"], tracked.data.metrics["test_macro_f1_high"]) == (low, high)


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


def rows_of(run):
    return {row["variant"]: row for row in run.evaluation["leaderboard"]}


def test_every_candidate_is_timed(first_run, voting_run):
    for row in (*first_run.evaluation["leaderboard"], *voting_run.evaluation["leaderboard"]):
        assert 0 < row["latency_ms_p50"] <= row["latency_ms_p95"]


def test_latency_is_tracked(first_run):
    candidate = load_candidate(first_run.context.store, "first", "narrow")
    run = MlflowClient(first_run.context.settings.tracking_uri).get_run(candidate.mlflow_run_id)

    assert run.data.metrics["latency_ms_p95"] == pytest.approx(rows_of(first_run)["narrow"]["latency_ms_p95"])


def test_ablations_are_measured_and_stand_below_all_that_can_win(voting_run):
    rows = voting_run.evaluation["leaderboard"]

    assert [row["ablation_of"] for row in rows[:3]] == [None, None, None]
    assert {row["variant"]: row["ablation_of"] for row in rows[3:]} == {
        "narrow-no-attention": "narrow",
        "wide-no-attention": "wide",
    }
    assert voting_run.evaluation["chosen"] == rows[0]["variant"]


def test_ensemble_has_both_variants_as_members_and_no_ablation(voting_run):
    members = rows_of(voting_run)["ensemble"]["members"]

    assert {member["variant"] for member in members} == {"narrow", "wide"}
    assert sum(member["weight"] for member in members) == pytest.approx(1)
    assert members == sorted(members, key=lambda member: -member["weight"])
    record = json.loads(voting_run.context.store.get("runs/vote/ensemble/candidate.json"))
    assert record["members"] == [{"run_id": "vote", **member} for member in members]


def before_scaling(run, variant):
    """What a contender of the run says of spots, its temperature undone."""
    temperature = load_temperature(run.context.store, load_candidate(run.context.store, run.run_id, variant))
    served = predictions(run, variant)[["p_spots", "p_stripes"]].to_numpy()
    return soften(served.astype(np.float64), 1 / temperature)[:, 0]


def test_temperature_is_fitted_to_the_validation_images(voting_run):
    """Half of the labels are wrong, and the heads know them by heart: they are far too sure of other images."""
    store = voting_run.context.store
    table = predictions(voting_run, "wide")
    validation = table["split"] == "validation"
    raw = before_scaling(voting_run, "wide")[validation]

    temperature = load_temperature(store, load_candidate(store, "vote", "wide"))

    assert temperature > 1.5
    assert temperature == pytest.approx(
        fit_temperature(table["label"][validation].to_numpy(), np.stack([raw, 1 - raw], axis=1)), rel=0.01
    )


def test_ensemble_says_of_test_images_the_weighted_mean_of_its_members(voting_run):
    weights = {member["variant"]: member["weight"] for member in rows_of(voting_run)["ensemble"]["members"]}
    test = predictions(voting_run, "ensemble")["split"] == "test"

    mean = sum(weight * before_scaling(voting_run, name) for name, weight in weights.items())
    np.testing.assert_allclose(before_scaling(voting_run, "ensemble")[test], mean[test], atol=1e-4)


def test_ensemble_competes_with_what_it_says_of_images_that_it_was_not_fitted_to(voting_run):
    weights = {member["variant"]: member["weight"] for member in rows_of(voting_run)["ensemble"]["members"]}
    table = predictions(voting_run, "ensemble")
    validation = table["split"] == "validation"
    fitted = sum(weight * before_scaling(voting_run, name) for name, weight in weights.items())

    scored = f1_score(table["label"][validation], table["predicted"][validation], average="macro")
    assert rows_of(voting_run)["ensemble"]["validation_macro_f1"] == pytest.approx(scored)
    assert not np.allclose(before_scaling(voting_run, "ensemble")[validation], fitted[validation], atol=1e-3)


def test_ensemble_has_pictures_and_a_tracking_run_as_any_candidate(voting_run):
    row, store = rows_of(voting_run)["ensemble"], voting_run.context.store
    client = MlflowClient(voting_run.context.settings.tracking_uri)
    tracked = client.get_run(load_candidate(store, "vote", "ensemble").mlflow_run_id)

    assert set(row["figures"]) == {name for name, _, _ in CANDIDATE_FIGURES} - {"curves.png"}
    assert all(store.head(f"runs/vote/ensemble/{name}") for name in row["figures"])
    assert tracked.info.status == "FINISHED"
    assert tracked.data.metrics["test_macro_f1"] == pytest.approx(row["macro_f1"])
    assert float(tracked.data.params["weight.wide"]) > 0


def test_ensemble_took_as_long_as_its_members(voting_run):
    rows = rows_of(voting_run)

    assert rows["ensemble"]["seconds"] == pytest.approx(rows["narrow"]["seconds"] + rows["wide"]["seconds"])


def test_ensemble_as_champion_is_measured_in_a_later_run(voting_run, ensemble_promotion):
    """Its members' maps are gone: they are extracted again for the test images."""
    then, store = voting_run.context, voting_run.context.store
    changes = {"candidates": CandidateSettings(), "weights": then.settings.weights.model_copy(update={"seed": 2})}
    today = Context(then.settings.model_copy(update=changes), store)
    plan = split.run(today, "after", variants=["narrow"])
    extract_features(today, "after")
    train.run(today, "after", "narrow")
    for maps in load_maps(store, "vote").values():
        for info in list(store.list(maps.prefix)):
            store.delete(info.key)

    champion = evaluate.run(today, "after")["champion"]

    row = rows_of(voting_run)["ensemble"]
    assert (champion["variant"], champion["version"]) == ("ensemble", ensemble_promotion["version"])
    assert champion["macro_f1"] == pytest.approx(row["macro_f1"])
    assert champion["latency_ms_p95"] == row["latency_ms_p95"]
    (part,) = extract_features(then, "vote")
    assert part["extracted"] == dict.fromkeys(("narrow", "wide"), 64 - plan["images"]["test"])


def test_a_champion_whose_maps_cannot_be_made_any_more_is_measured_as_it_is_served(second_run, caplog):
    """As after an update that computes features in another way: what its published model answers still counts."""
    store, key = second_run.context.store, f"runs/first/{second_run.evaluation['champion']['variant']}/candidate.json"
    record = store.get(key)
    store.put(key, dump_json(json.loads(record) | {"fingerprint": "of-another-version"}))
    before = store.get("runs/second/evaluation.json"), store.get("runs/second/champion.parquet")

    champion = evaluate.run(second_run.context, "second")["champion"]

    assert "measured through its published model, version 1" in caplog.text
    assert champion["macro_f1"] == second_run.evaluation["champion"]["macro_f1"]
    then, now = (
        pd.read_parquet(io.BytesIO(data)).filter(regex="^p_")
        for data in (before[1], store.get("runs/second/champion.parquet"))
    )
    np.testing.assert_allclose(now, then, atol=0.01)
    store.put(key, record)
    store.put("runs/second/evaluation.json", before[0])
    store.put("runs/second/champion.parquet", before[1])


def test_first_run_has_no_champion_to_measure(first_run):
    assert first_run.evaluation["champion"] is None


def test_champion_is_measured_on_the_same_test_images(first_run, second_run):
    champion = second_run.evaluation["champion"]
    winner = first_run.evaluation["leaderboard"][0]

    assert (champion["version"], champion["variant"]) == (1, first_run.evaluation["chosen"])
    assert champion["macro_f1"] == pytest.approx(winner["macro_f1"])
    assert champion["metrics"]["images"] == second_run.plan["images"]["test"]
    assert champion["run_id"] == "first"
    answered = pd.read_parquet(io.BytesIO(first_run.context.store.get("runs/second/champion.parquet")))
    table = predictions(first_run, first_run.evaluation["chosen"])
    pd.testing.assert_frame_equal(answered, table[table["split"] == "test"].reset_index(drop=True))


@pytest.fixture(scope="module")
def champion_today(first_run):
    """The first run's winner beside a run whose weights are others; its maps are gone, and it was never timed."""
    then, store = first_run.context, first_run.context.store
    variant = first_run.evaluation["chosen"]
    weights = then.settings.weights.model_copy(update={"seed": 2})
    today = Context(then.settings.model_copy(update={"weights": weights}), store)
    split.run(today, "third", variants=["narrow"])
    extract_features(today, "third")
    train.run(today, "third", "narrow")
    for info in list(store.list(load_candidate(store, "first", variant).lead.features)):
        store.delete(info.key)
    timed = store.get(f"runs/first/{variant}/latency.json")
    store.delete(f"runs/first/{variant}/latency.json")
    champion = evaluate.run(today, "third")["champion"]
    store.put(f"runs/first/{variant}/latency.json", timed)
    return champion


def test_champion_is_measured_as_it_was_made_whatever_the_settings_are_today(first_run, champion_today):
    """Its own feature maps are extracted for the test images alone."""
    then, variant, images = first_run.context, first_run.evaluation["chosen"], first_run.plan["images"]

    assert champion_today["macro_f1"] == pytest.approx(first_run.evaluation["leaderboard"][0]["macro_f1"])
    split.run(then, "fourth", variants=[variant])
    assert [part["extracted"] for part in extract_features(then, "fourth")] == [{variant: 34 - images["test"]}]


def test_champion_that_was_never_timed_has_no_latency(champion_today):
    assert (champion_today["latency_ms_p50"], champion_today["latency_ms_p95"]) == (None, None)


def test_evaluation_is_kept_as_it_was_returned(first_run):
    assert json.loads(first_run.context.store.get("runs/first/evaluation.json")) == first_run.evaluation


def test_test_images_are_sliced_by_what_labels_csv_says_of_them_too(first_run):
    row = first_run.evaluation["leaderboard"][0]
    (site,) = (one for one in row["metrics"]["slices"]["attributes"] if one["name"] == "site")
    images = sum(one["images"] for one in site["slices"]) + site["small"]["images"]

    assert {one["value"] for one in site["slices"]} <= {"north", "south"}
    assert images == first_run.plan["images"]["test"]
    assert "folder" in [one["name"] for one in row["metrics"]["slices"]["attributes"]]


def test_champion_has_slices_of_the_same_images(second_run):
    champion, winner = second_run.evaluation["champion"], second_run.evaluation["leaderboard"][0]
    names = [
        [(one["name"], one["small"]) for one in row["metrics"]["slices"]["attributes"]] for row in (champion, winner)
    ]

    assert names[0] == names[1]


def test_what_goes_with_the_label_is_found_in_the_training_images(first_run):
    """Stripes are brighter than noise; the site has nothing to do with either."""
    found = {one["attribute"]: one for one in first_run.evaluation["confounders"]}

    assert found["brightness"]["association"] > 0.5 > found["site"]["association"]
    assert found["brightness"]["images"] == first_run.plan["images"]["train"]
    assert "folder" not in found
