from dataclasses import replace

import pandas as pd
import pytest

from ml import layout
from ml.promotions import Change
from ml.run_identity import Precedent, find_precedent, identity_of, record_precedent, stands
from ml.serving_state import ServingState
from ml.storage import dump_json

PLAN = {"snapshot_id": "s1", "classes": ["a", "b"], "variants": ["vgg16"], "trials": 0}
SAMPLES = pd.DataFrame(
    {
        "image_id": ["1", "2"],
        "uri": ["images/1", "images/2"],
        "group": ["g1", "g2"],
        "split": ["train", "test"],
        "label": [0, 1],
        "repeats": [1, 1],
    }
)
REJECTED = Precedent("first", "vgg16", cleared=False, reason="Rejected.", champion=3, warm=False)
CLEARED = Precedent("first", "vgg16", cleared=True, reason="Cleared.", champion=3, warm=False)


def test_the_same_is_the_same(make_settings):
    assert identity_of(make_settings(), PLAN, SAMPLES) == identity_of(make_settings(), dict(PLAN), SAMPLES.copy())


@pytest.mark.parametrize(
    "change",
    [
        {"snapshot_id": "s2"},
        {"variants": ["vgg16", "vgg19"]},
        {"trials": 9},
        {"classes": ["a", "c"]},
    ],
    ids=["snapshot", "variants", "trials", "classes"],
)
def test_another_plan_is_another_run(settings, change):
    assert identity_of(settings, PLAN | change, SAMPLES) != identity_of(settings, PLAN, SAMPLES)


@pytest.mark.parametrize(
    "samples",
    [SAMPLES[:1], SAMPLES.assign(label=[1, 0]), SAMPLES.assign(repeats=[2, 1])],
    ids=["forgotten", "labels", "repeats"],
)
def test_other_images_are_another_run(settings, samples):
    assert identity_of(settings, PLAN, samples) != identity_of(settings, PLAN, SAMPLES)


@pytest.mark.parametrize(
    "overrides",
    [
        {"train": {"epochs": 3}},
        {"train": {"attention": False}},
        {"weights": {"seed": 2}},
        {"features": {"precision": "float32"}},
        {"gate": {"min_macro_f1": 0.5}},
        {"gate": {"approval": {}}},
        {"evaluation": {"min_slice_images": 3}},
        {"candidates": {"ensemble": True}},
        {"variants": {"vgg16": {"backbone": "mobilenet"}}},
    ],
    ids=["epochs", "attention", "seed", "precision", "gate", "approval", "slices", "ensemble", "variant"],
)
def test_settings_that_training_or_gate_look_at_make_another_run(make_settings, overrides):
    assert identity_of(make_settings(overrides), PLAN, SAMPLES) != identity_of(make_settings(), PLAN, SAMPLES)


@pytest.mark.parametrize(
    "overrides",
    [
        {"tracking_uri": "http://mlflow:5000"},
        {"store": {"url": "s3://elsewhere"}},
        {"features": {"part_size": 7}},
        {"train": {"checkpoint_seconds": 0}},
        {"weights": {"mirror": "s3://weights"}},
        {"card": {"owner": "somebody"}},
        {"serving": {"grpc_port": 1}},
        {"alerts": {"base_url": "https://airflow.example"}},
        {"variants": {"vgg16": {"backbone": "vgg16"}, "another": {"backbone": "vgg19"}}},
    ],
    ids=["tracking", "store", "parts", "checkpoints", "mirror", "card", "server", "alerts", "other-variant"],
)
def test_what_changes_no_head_and_no_decision_makes_no_other_run(make_settings, overrides):
    assert identity_of(make_settings(overrides), PLAN, SAMPLES) == identity_of(make_settings(), PLAN, SAMPLES)


def test_the_outcome_of_the_newest_run_is_found(store):
    for run_id in ("first", "second"):
        store.put(layout.run_key(run_id, layout.DECISION), b"{}")
        record_precedent(store, "digest", replace(REJECTED, run_id=run_id))

    found = find_precedent(store, "digest", "third")

    assert found is not None
    assert found.run_id == "second"
    assert find_precedent(store, "another digest", "third") is None


def test_a_run_is_not_held_back_by_itself_or_by_one_that_was_removed(store):
    record_precedent(store, "digest", REJECTED)
    removed = find_precedent(store, "digest", "second")
    store.put(layout.run_key("first", layout.DECISION), b"{}")

    assert removed is None
    assert find_precedent(store, "digest", "second") == REJECTED
    assert find_precedent(store, "digest", "first") is None


def serving(*steps):
    """The record of what serves after promotions and rollbacks to these versions."""
    changes = []
    for number, (action, version) in enumerate(steps, start=1):
        before = changes[-1].serving.stable if changes else None
        evidence = {"from": before} if action == "rollback" else {}
        state = ServingState(stable=version, previous=before)
        at = f"2026-01-0{number}T00:00:00+00:00"
        changes.append(
            Change(number, action, version, state, "run", "vgg16", "000001", "Ann", "worse on Mondays", at, evidence)
        )
    return changes


def test_a_rejection_stands_while_the_champion_is_the_same(store):
    assert stands(store, REJECTED, serving(("promote", 3))) == "the gate rejected vgg16"
    assert stands(store, REJECTED, serving(("promote", 2))) is None
    assert stands(store, REJECTED, []) is None


def test_a_promotion_stands_while_its_version_serves(store):
    store.put(layout.run_key("first", layout.PUBLICATION), dump_json({"version": 4}))

    assert stands(store, CLEARED, serving(("promote", 4))) == "its winner vgg16 serves as version 4"
    assert stands(store, CLEARED, serving(("promote", 4), ("promote", 5))) is None, "another one came"
    assert stands(store, CLEARED, []) is None


def test_the_same_weights_do_not_come_back_after_somebody_went_back_from_them(store):
    store.put(layout.run_key("first", layout.PUBLICATION), dump_json({"version": 4}))
    back = [("promote", 3), ("promote", 4), ("rollback", 3)]

    assert stands(store, CLEARED, serving(*back)) == "Ann went back from its winner vgg16, version 4 (worse on Mondays)"
    assert stands(store, CLEARED, serving(*back, ("promote", 5))) is not None, "whatever serves since"
    again = serving(*back, ("rollback", 4), ("promote", 5))
    assert stands(store, CLEARED, again) is None, "they did come back, and something else took their place"


def test_a_rejected_winner_that_a_person_promoted_stands_while_it_serves(store):
    store.put(layout.run_key("first", layout.PUBLICATION), dump_json({"version": 4}))

    assert stands(store, REJECTED, serving(("promote", 4))) == "its winner vgg16 serves as version 4"


def test_a_winner_that_was_never_published_may_be_after_another_run(store):
    found = stands(store, CLEARED, serving(("promote", 3)))
    assert found is None, "nobody approved, or it did not stand its trial"


def test_heads_that_start_from_the_new_champions_are_other_heads(store):
    store.put(layout.run_key("first", layout.PUBLICATION), dump_json({"version": 4}))
    warm = Precedent("first", "vgg16", cleared=True, reason="Cleared.", champion=3, warm=True)

    assert stands(store, warm, serving(("promote", 4))) is None
