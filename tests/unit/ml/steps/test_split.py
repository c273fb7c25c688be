import json
from datetime import UTC, datetime

import pytest

from ml.config import CandidateSettings, GateSettings
from ml.context import Context
from ml.errors import ConfigError, DataError
from ml.plan import load_samples
from ml.run_settings import Asked
from ml.snapshots import Snapshot, latest_snapshot_id
from ml.steps import ingest, publish_snapshot, split


def test_plan_says_what_the_run_trains_on(published_context):
    plan = split.run(published_context, "a run")

    assert plan["run_id"] == "a run"
    assert plan["snapshot_id"] == latest_snapshot_id(published_context.store)
    assert plan["classes"] == ["spots", "stripes"]
    assert plan["variants"] == ["narrow", "wide"]
    assert sum(plan["images"].values()) == 34
    assert json.loads(published_context.store.get("runs/a-run/plan.json")) == plan


def test_splits_are_those_of_the_manifest(published_context):
    plan = split.run(published_context, "run")
    samples = load_samples(published_context.store, "run")
    manifest = Snapshot(published_context.store, plan["snapshot_id"]).manifest

    assert dict(zip(samples["image_id"], samples["split"], strict=True)) == dict(
        zip(manifest["image_id"], manifest["split"], strict=True)
    )


def test_samples_know_their_groups(published_context):
    plan = split.run(published_context, "run")
    samples = load_samples(published_context.store, "run").set_index("image_id")
    manifest = Snapshot(published_context.store, plan["snapshot_id"]).manifest.set_index("image_id")

    assert samples["group"].to_dict() == manifest["group"].to_dict()


@pytest.mark.parametrize("wanted", [True, False])
def test_plan_says_whether_ablations_are_trained(published_context, wanted):
    settings = published_context.settings.model_copy(update={"candidates": CandidateSettings(ablation=wanted)})

    assert split.run(Context(settings, published_context.store), "run")["ablation"] is wanted


def test_oversampling_evens_out_training_images_and_touches_no_others(published_context):
    split.run(published_context, "run")
    samples = load_samples(published_context.store, "run")

    training = samples[samples["split"] == "train"]
    assert training.groupby("label")["repeats"].sum().nunique() == 1
    assert training["repeats"].min() >= 1
    assert training["repeats"].max() > 1
    assert set(samples["repeats"][samples["split"] != "train"]) == {1}


@pytest.mark.parametrize("imbalance", ["class_weight", "none"])
def test_other_ways_with_imbalance_repeat_nothing(published_context, imbalance):
    settings = published_context.settings
    train = settings.train.model_copy(update={"imbalance": imbalance})
    context = Context(settings.model_copy(update={"train": train}), published_context.store)

    split.run(context, "run")

    assert set(load_samples(context.store, "run")["repeats"]) == {1}


def test_two_runs_on_a_snapshot_see_the_same_samples(published_context):
    for run_id in ("one", "two"):
        split.run(published_context, run_id)

    one, two = (published_context.store.get(f"runs/{run_id}/samples.parquet") for run_id in ("one", "two"))
    assert one == two


def test_chosen_variants_are_taken_once_each_in_their_order(published_context):
    assert split.run(published_context, "run", variants=["wide", "narrow", "wide"])["variants"] == ["wide", "narrow"]


def test_what_was_asked_of_the_run_is_in_its_plan(published_context):
    asked = Asked({"epochs": 3, "min_macro_f1": 0.5}, trials=9, force=True, reason="a try", by="jane")

    plan = split.run(published_context, "run", asked=asked)

    kept = {name: plan[name] for name in ("overrides", "trials", "force", "reason", "asked_by")}
    assert kept == {
        "overrides": {"epochs": 3, "min_macro_f1": 0.5},
        "trials": 9,
        "force": True,
        "reason": "a try",
        "asked_by": "jane",
    }
    assert {one["setting"]: (one["configured"], one["chosen"]) for one in plan["differences"]} == {
        "train.epochs": (4, 3),
        "train.warm_epochs": (5, 3),
    }
    assert published_context.for_run("run").settings.train.epochs == 3


def test_samples_and_ablations_are_those_of_the_runs_own_settings(published_context):
    compared = published_context.settings.model_copy(update={"candidates": CandidateSettings(ablation=True)})
    asked = Asked({"imbalance": "none", "attention": False})

    plan = split.run(Context(compared, published_context.store), "run", asked=asked)

    assert plan["ablation"] is False
    assert set(load_samples(published_context.store, "run")["repeats"]) == {1}


def test_a_choice_that_is_refused_writes_nothing(published_context):
    with pytest.raises(ConfigError, match="Refused for this run: epochs = 0"):
        split.run(published_context, "run", asked=Asked({"epochs": 0}))
    assert list(published_context.store.list("runs/")) == []


def test_equal_runs_have_one_identity_and_others_another(published_context):
    one, same = (split.run(published_context, run_id)["identity"] for run_id in ("one", "two"))
    other = split.run(published_context, "three", asked=Asked({"epochs": 3}))["identity"]

    assert one == same != other


def test_unknown_variant_is_refused_before_anything_is_written(published_context):
    with pytest.raises(ConfigError, match=r"no variant 'vgg99'.*Known: narrow, wide"):
        split.run(published_context, "run", variants=["narrow", "vgg99"])
    assert list(published_context.store.list("runs/")) == []


def test_gate_that_speaks_of_a_class_that_there_is_not_is_refused_before_the_training(published_context):
    gate = GateSettings(classes={"stars": {"min_recall": 0.9}})
    context = Context(published_context.settings.model_copy(update={"gate": gate}), published_context.store)

    with pytest.raises(ConfigError, match=r"names 'stars', which is no class.*Classes: spots, stripes"):
        split.run(context, "run")


def test_run_without_a_snapshot_says_how_to_get_one(small_context):
    with pytest.raises(DataError, match=r"no published snapshot.*run `ingest_images`"):
        split.run(small_context, "run")


@pytest.mark.parametrize(
    ("keep", "message"),
    [
        (lambda key: "stripes" in key, "has the single class stripes"),
        (
            lambda key: "stripes" in key or key.endswith("/00.png"),
            "spots has none in validation; spots has none in test",
        ),
    ],
    ids=["one-class", "too-few-images"],
)
def test_data_that_cannot_be_trained_on_is_refused(small_context, keep, message):
    for info in list(small_context.store.list("landing/")):
        if not keep(info.key):
            small_context.store.delete(info.key)
    publish_snapshot.run(small_context, ingest.run(small_context, datetime.now(UTC))["snapshot_id"])

    with pytest.raises(DataError, match=message):
        split.run(small_context, "run")
