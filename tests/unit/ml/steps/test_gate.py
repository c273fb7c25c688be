import hashlib
import json
from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest

from candidates import make_candidate
from ml import layout
from ml.context import Context
from ml.errors import NotFoundError
from ml.evaluation import predictions
from ml.metrics import classification_metrics
from ml.plan import store_plan
from ml.steps import gate
from ml.storage import dump_json

CLASSES = ("a", "b")
#: Forty test images of the two classes in turn, after twenty to train on; two images a group.
IMAGES = pd.DataFrame(
    {
        "image_id": [f"i{number:02d}" for number in range(60)],
        "uri": "",
        "group": [f"g{number // 2:02d}" for number in range(60)],
        "label": [number % 2 for number in range(60)],
        "split": ["train"] * 20 + ["test"] * 40,
        "repeats": 1,
    }
)
RULES = {"gate": {"min_macro_f1": 0.7, "champion_margin": 0.05}}


def answers(wrong):
    """Probabilities for the test images, of which the first so many are taken for the other class."""
    predicted = IMAGES["label"][20:].to_numpy().copy()
    predicted[:wrong] = 1 - predicted[:wrong]
    return np.eye(2)[predicted]


def write_candidate(store, run_id, variant, images, started_from=None):
    """A run that trained something on some of the images."""
    candidate = make_candidate(run_id=run_id, variant=variant, classes=CLASSES, started_from=started_from)
    store.put(layout.run_key(run_id, variant, "candidate.json"), dump_json(asdict(candidate)))
    store_plan(store, {"run_id": run_id}, images)


def row(run_id, variant, wrong, latency_ms=None):
    metrics = classification_metrics(IMAGES["label"][20:].to_numpy(), answers(wrong), CLASSES)
    return {"run_id": run_id, "variant": variant, "latency_ms_p95": latency_ms, "metrics": metrics}


@pytest.fixture
def decide(make_settings, store):
    """The gate's document on a winner with so many wrong answers, and on a champion."""

    def run(winner, champion=None, rules=RULES, latency_ms=None, started_from=None):
        write_candidate(store, "run", "good", IMAGES, started_from)
        test = IMAGES[20:]
        store.put("runs/run/good/predictions.parquet", predictions(test, answers(winner), CLASSES))
        evaluation = {
            "chosen": "good",
            "leaderboard": [row("run", "other", 39), row("run", "good", winner, latency_ms)],
            "champion": None,
        }
        if champion is not None:
            evaluation["champion"] = row("old", "best", champion)
            store.put("runs/run/champion.parquet", predictions(test, answers(champion), CLASSES))
        store.put("runs/run/evaluation.json", dump_json(evaluation))
        return gate.run(Context(make_settings(rules), store), "run")

    return run


def missed(document):
    return [rule["name"] for rule in document["rules"] if not rule["passed"]]


def test_winner_is_held_against_the_settings_and_the_document_is_kept(decide, store):
    assert decide(8)["promoted"]
    rejected = decide(16)

    assert (rejected["variant"], rejected["promoted"], missed(rejected)) == ("good", False, ["macro F1"])
    assert json.loads(store.get("runs/run/decision.json")) == rejected


def test_document_has_the_digests_of_what_it_rests_on(decide, store):
    write_candidate(store, "old", "best", IMAGES)

    inputs = decide(4, champion=8)["inputs"]

    assert sorted(inputs) == [
        "runs/run/champion.parquet",
        "runs/run/evaluation.json",
        "runs/run/good/predictions.parquet",
        "runs/run/samples.parquet",
    ]
    assert all(digest == hashlib.sha256(store.get(key)).hexdigest() for key, digest in inputs.items())


@pytest.mark.parametrize(
    ("winner", "champion", "promoted"),
    [(2, 8, True), (8, 8, False), (10, 8, False)],
    ids=["better", "tie", "worse"],
)
def test_winner_is_compared_with_the_champion_on_the_same_images(decide, store, winner, champion, promoted):
    write_candidate(store, "old", "best", IMAGES)

    document = decide(winner, champion)

    assert document["promoted"] is promoted
    comparison = document["comparison"]
    assert (comparison["images"], comparison["groups"]) == (40, 20)
    assert comparison["challenger"] == pytest.approx(1 - winner / 40, abs=0.005)
    assert comparison["champion"] == pytest.approx(1 - champion / 40, abs=0.005)


def test_champion_is_compared_on_images_that_it_was_not_trained_on(decide, store):
    """It was trained on ten test images, whose groups have had another name, and on one image of a further group."""
    seen = IMAGES.assign(split=["train"] * 30 + ["test"] * 30, group="another")
    seen.loc[40, "split"] = "train"
    write_candidate(store, "old", "best", seen)

    document = decide(12, champion=4)

    # What was left out are the winner's ten first mistakes, and the champion's only ones.
    assert document["comparison"]["images"] == 28
    assert document["comparison"]["champion"] == 1
    assert document["comparison"]["challenger"] == pytest.approx(26 / 28, abs=0.001)
    assert "on 28 test images that it was not trained on" in document["reason"]


def test_champion_that_was_trained_on_all_test_images_is_not_beaten(decide, store):
    write_candidate(store, "old", "best", IMAGES.assign(split="train"))

    document = decide(0, champion=8)

    assert missed(document) == ["better than the champion"]
    assert document["comparison"] == {
        "images": 0,
        "groups": 0,
        "challenger": None,
        "champion": None,
        "difference_interval": None,
    }


def test_winner_that_started_from_a_head_that_saw_test_images_is_refused(decide, store):
    write_candidate(store, "older", "good", IMAGES.assign(split=["train"] * 21 + ["test"] * 39))
    write_candidate(store, "old", "good", IMAGES, started_from="older/good")

    document = decide(0, started_from="old/good")

    # The image's group has two.
    assert missed(document) == ["test images seen in training"]
    assert document["rules"][-1]["measured"] == "2"


@pytest.mark.parametrize(("latency_ms", "promoted"), [(50.0, True), (50.1, False)], ids=["in-time", "too-slow"])
def test_winner_must_answer_in_time(decide, latency_ms, promoted):
    assert decide(0, rules={"gate": {"max_latency_ms": 50}}, latency_ms=latency_ms)["promoted"] is promoted


def test_run_that_was_not_evaluated_has_nothing_to_decide(context):
    with pytest.raises(NotFoundError, match=r"runs/run/evaluation\.json"):
        gate.run(context, "run")
