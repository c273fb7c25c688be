import hashlib
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mlflow.tracking import MlflowClient

from candidates import make_candidate
from ml import layout
from ml.context import Context
from ml.errors import NotFoundError
from ml.evaluation import predictions
from ml.leaderboard import leaderboard_row
from ml.metrics import classification_metrics
from ml.plan import store_plan
from ml.registry import Registry
from ml.run_identity import Precedent, find_precedent
from ml.run_settings import Difference
from ml.run_summaries import RunSummary
from ml.slices import measure_slices
from ml.steps import gate
from ml.storage import dump_json

# MLflow's own modules warn when they are imported.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")

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
    """Probabilities for the test images, of which the first so many, or a slice, are taken for the other class."""
    predicted = IMAGES["label"][20:].to_numpy().copy()
    chosen = wrong if isinstance(wrong, slice) else slice(wrong)
    predicted[chosen] = 1 - predicted[chosen]
    return np.eye(2)[predicted]


def write_candidate(store, run_id, variant, images, started_from=None, **record):
    """A run that trained something on some of the images."""
    candidate = make_candidate(run_id=run_id, variant=variant, classes=CLASSES, started_from=started_from, **record)
    store.put(layout.run_key(run_id, variant, "candidate.json"), dump_json(asdict(candidate)))
    store_plan(store, {"run_id": run_id}, images)


def row(run_id, variant, wrong, images=IMAGES):
    labels, found = images["label"][20:].to_numpy(), answers(wrong)
    metrics = classification_metrics(labels, found, CLASSES)
    sites = pd.DataFrame({"site": ["north"] * 30 + ["south"] * 10})
    slices = measure_slices(sites, found.argmax(axis=1) == labels, images["group"][20:].tolist(), 10)
    test = metrics | {"slices": slices, "intervals": {"accuracy": None, "macro_f1": None}}
    candidate = make_candidate(run_id=run_id, variant=variant, settings={"weights": {"source": "random"}})
    return leaderboard_row(candidate, {"test": test}, None, 1.0) | {"run_id": run_id}


@pytest.fixture
def registry(settings, tracking_database, tmp_path):
    (tmp_path / "mlflow.db").write_bytes(tracking_database.read_bytes())
    return Registry(settings)


@pytest.fixture
def decide(make_settings, store, registry):
    """The gate's document on a winner with so many wrong answers, and on a champion."""
    tracked = registry.start_run("run", "good", {})

    def run(
        winner, champion=None, rules=RULES, latency_ms=1.0, size_mb=1.0, started_from=None, images=IMAGES, plan=None
    ):
        write_candidate(store, "run", "good", images, started_from, mlflow_run_id=tracked)
        store_plan(store, {"run_id": "run", **(plan or {})}, images)
        export = {"latency_ms_p95": latency_ms, "size_mb": size_mb}
        store.put("runs/run/good/examination.json", dump_json({"variant": "good", "export": export}))
        test = images[20:]
        store.put("runs/run/good/predictions.parquet", predictions(test, answers(winner), CLASSES))
        evaluation = {
            "run_id": "run",
            "chosen": "good",
            "leaderboard": [row("run", "other", 39), row("run", "good", winner, images)],
            "champion": None,
        }
        if champion is not None:
            evaluation["champion"] = row("old", "best", champion, images=images) | {"version": 7}
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


def test_a_bar_that_was_lowered_for_the_run_is_told_with_who_asked(decide):
    lowered = Difference("gate.min_macro_f1", 0.9, 0.7)._asdict()
    other = Difference("train.epochs", 20, 3)._asdict()

    document = decide(8, plan={"differences": [other, lowered], "reason": "a try", "asked_by": "jane"})

    told = "For this run gate.min_macro_f1 is 0.7 instead of 0.9, asked for by jane (a try)."
    assert document["promoted"]
    assert document["gate_notice"] == told
    assert document["reason"].endswith(f". {told}")


def test_a_gate_as_configured_is_not_spoken_of(decide):
    assert decide(8)["gate_notice"] is None


def test_later_runs_of_the_same_identity_find_what_was_decided(decide, store):
    document = decide(16, plan={"identity": "digest"})

    assert find_precedent(store, "digest", "next") == Precedent("run", "good", False, document["reason"], None, False)


def test_decided_run_is_listed_before_anything_becomes_of_it(decide, store):
    decide(16)

    summary = RunSummary.from_dict(json.loads(store.get("summaries/runs/classifier/run.json")), "")
    assert (summary.run_id, summary.variant, summary.cleared) == ("run", "good", False)
    assert summary.accuracy == 24 / 40
    assert summary.held_back.startswith("Rejected: macro F1")


def test_document_has_the_digests_of_what_it_rests_on(decide, store):
    write_candidate(store, "old", "best", IMAGES)

    inputs = decide(4, champion=8)["inputs"]

    assert sorted(inputs) == [
        "runs/run/champion.parquet",
        "runs/run/evaluation.json",
        "runs/run/good/examination.json",
        "runs/run/good/predictions.parquet",
        "runs/run/plan.json",
        "runs/run/samples.parquet",
    ]
    assert all(digest == hashlib.sha256(store.get(key)).hexdigest() for key, digest in inputs.items())


def test_better_winner_is_compared_with_the_champion_on_the_same_images_and_promoted(decide, store):
    write_candidate(store, "old", "best", IMAGES)

    document = decide(2, champion=8)

    assert document["promoted"]
    comparison = document["comparison"]
    assert (comparison["images"], comparison["groups"], comparison["differing"]) == (40, 20, 3)
    assert comparison["challenger"] == pytest.approx(1 - 2 / 40, abs=0.005)
    assert comparison["champion"] == pytest.approx(1 - 8 / 40, abs=0.005)


PROOF = {"gate": {"min_macro_f1": 0.7, "champion_margin": 0}}
AHEAD = "required above the champion's 0.8000, on 40 test images that it was not trained on"


@pytest.mark.parametrize(
    ("winner", "rules", "rule", "reason"),
    [
        (10, RULES, "better than the champion", f"0.7500, {AHEAD} (more than 0.0500 short)"),
        (slice(30, 40), RULES, "better than the champion", f"0.7500, {AHEAD} (more than 0.0500 short)"),
        (8, RULES, "better than the champion", f"0.8000, {AHEAD} (a tie keeps the champion)"),
        (slice(32, 40), RULES, "better than the champion", f"0.8000, {AHEAD} (a tie keeps the champion)"),
        (slice(33, 40), PROOF, "probability that it is no better than the champion", "required at most 0.05"),
        (slice(33, 40), RULES, "probability that it is worse than the champion by 0.05 or more", "at most 0.05"),
    ],
    ids=["worse", "worse-on-other-images", "the-same", "equal-on-other-images", "equal-with-luck", "within-the-margin"],
)
def test_winner_that_is_no_better_than_the_champion_is_refused_with_the_reason(
    decide, store, winner, rules, rule, reason
):
    """The champion errs on the first eight images."""
    write_candidate(store, "old", "best", IMAGES)

    document = decide(winner, champion=8, rules=rules)

    assert not document["promoted"]
    assert rule in missed(document)
    assert reason in next(part for part in document["reason"].split("; ") if f"{rule}:" in part)


@pytest.mark.parametrize("column", ["image_id", "group"])
def test_test_image_among_the_training_images_is_a_leak_and_so_is_its_group(decide, column):
    """Image 20 and the other one of its group are of the test split."""
    leaky = IMAGES.copy()
    leaky.loc[3, column] = leaky.loc[20, column]

    document = decide(0, images=leaky)

    assert document["reason"] == (
        "Rejected: test images seen in training: 2, required none (a test split without them)."
    )


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        ("min_class_recall", "recall of the weakest class, a: 0.6667, required at least 0.7 (1 more of its 30 images"),
        ("min_class_f1", "F1 of the weakest class, b: 0.6667, required at least 0.7 (0.0334 short)"),
    ],
)
def test_swapped_labels_miss_the_floors_of_the_classes_that_they_hurt(decide, rule, reason):
    """Half of the test images of b are called a; the winner knows them for what they are."""
    swapped = IMAGES.copy()
    swapped.loc[20:39, "label"] = 0

    document = decide(0, rules={"gate": {rule: 0.7}}, images=swapped)

    assert document["reason"].startswith(f"Rejected: {reason}")


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
    assert (
        "not measured, required above the champion's, on 0 test images that it was not trained on (such images)"
        in (document["reason"])
    )
    assert document["comparison"] == {
        "images": 0,
        "groups": 0,
        "differing": 0,
        "challenger": None,
        "champion": None,
        "difference_interval": None,
    }


def test_champion_that_left_few_groups_to_compare_on_is_not_beaten(decide, store):
    write_candidate(store, "old", "best", IMAGES.assign(split=["train"] * 30 + ["test"] * 30))

    document = decide(0, champion=40)

    assert missed(document) == ["probability that it is worse than the champion by 0.05 or more"]
    assert "not measured on 15 groups of images, required at most 0.05 (20 groups)" in document["reason"]


def test_winner_that_started_from_a_head_that_saw_test_images_is_refused(decide, store):
    write_candidate(store, "older", "good", IMAGES.assign(split=["train"] * 21 + ["test"] * 39))
    write_candidate(store, "old", "good", IMAGES, started_from="older/good")

    document = decide(0, started_from="old/good")

    # The image's group has two.
    assert missed(document) == ["test images seen in training"]
    assert document["rules"][-1]["measured"] == "2"


@pytest.mark.parametrize(("latency_ms", "promoted"), [(50.0, True), (50.1, False)], ids=["in-time", "too-slow"])
def test_exported_winner_must_answer_in_time(decide, latency_ms, promoted):
    assert decide(0, rules={"gate": {"max_latency_ms": 50}}, latency_ms=latency_ms)["promoted"] is promoted


@pytest.mark.parametrize(("size_mb", "promoted"), [(50.0, True), (50.1, False)], ids=["fits", "too-large"])
def test_exported_winner_must_not_be_too_large(decide, size_mb, promoted):
    assert decide(0, rules={"gate": {"max_size_mb": 50}}, size_mb=size_mb)["promoted"] is promoted


@pytest.mark.parametrize(("wrong", "promoted"), [(slice(38, 40), True), (slice(37, 40), False)])
def test_winner_must_do_well_on_its_worst_slice(decide, wrong, promoted):
    """The last ten test images are from the south: the average hides three mistakes there."""
    document = decide(wrong, rules={"gate": {"min_macro_f1": 0.9, "min_slice_accuracy": 0.75}})

    assert document["promoted"] is promoted
    if not promoted:
        assert document["reason"] == (
            "Rejected: accuracy of the worst slice, site south: 0.7000, required at least 0.75 "
            "(1 more of its 10 images to be right)."
        )


@pytest.mark.parametrize(("wrong", "verdict"), [(0, "cleared"), (16, "rejected")])
def test_decision_is_tracked(decide, settings, registry, wrong, verdict):
    document = decide(wrong)

    run = MlflowClient(settings.tracking_uri).get_run(registry.start_run("run", "good", {}))

    assert run.data.tags["quartet.gate"] == verdict
    assert run.data.tags["quartet.gate_reason"] == document["reason"]
    kept = Path(run.info.artifact_uri.removeprefix("file://")) / "decision.json"
    assert json.loads(kept.read_text()) == document


def test_winner_that_was_not_examined_is_not_decided_on(decide, store, settings):
    decide(0)
    store.delete("runs/run/good/examination.json")

    with pytest.raises(NotFoundError, match=r"runs/run/good/examination\.json"):
        gate.run(Context(settings, store), "run")


def test_run_that_was_not_evaluated_has_nothing_to_decide(context):
    with pytest.raises(NotFoundError, match=r"runs/run/evaluation\.json"):
        gate.run(context, "run")
