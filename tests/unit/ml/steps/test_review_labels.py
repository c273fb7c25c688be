"""On pictures of which one lies in the wrong folder under two names; nothing is trained."""

import csv
import io
import json
from dataclasses import asdict

import pytest

from candidates import make_candidate
from ml import layout
from ml.config import ReviewSettings
from ml.context import Context
from ml.feature_plan import load_maps
from ml.label_report import load_labels_view
from ml.manifest import classes_of
from ml.plan import load_samples
from ml.snapshots import Snapshot, latest_snapshot
from ml.steps import ingest, publish_snapshot, review_labels, split
from ml.storage import dump_json, open_store

from .conftest import COUNTS, NOW, draw, extract_features, tiny_settings, write_images

pytestmark = pytest.mark.slow

WRONG = ("landing/spots/wrong.png", "landing/spots/wrong, again.png")


def land(context):
    write_images(context.store)
    for key in WRONG:
        context.store.put(key, draw("stripes", 101))


def take_in(context):
    publish_snapshot.run(context, str(ingest.run(context, NOW)["snapshot_id"]))
    return latest_snapshot(context.store)


def table(store):
    text = store.get("runs/first/label_issues.csv").decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text, newline="")))


def document(store):
    return json.loads(store.get("runs/first/label_issues.json"))


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    """A run whose winner has feature maps and a record, as far as the review looks."""
    settings = tiny_settings(tmp_path_factory.mktemp("review"))
    context = Context(settings, open_store(settings.store))
    store = context.store
    land(context)
    snapshot = take_in(context)
    split.run(context, "first")
    extract_features(context, "first")
    candidate = make_candidate(
        run_id="first",
        variant="wide",
        classes=classes_of(snapshot.manifest, settings),
        fingerprint=load_maps(store, "first")["wide"].fingerprint,
        settings={"weights": {"source": "random", "seed": 1}},
    )
    store.put(layout.run_key("first", "wide", "candidate.json"), dump_json(asdict(candidate)))
    store.put(layout.run_key("first", "evaluation.json"), dump_json({"chosen": "wide"}))
    return context


@pytest.fixture(scope="module")
def reviewed(evaluated):
    return review_labels.run(evaluated, "first")


def test_picture_in_the_wrong_folder_comes_first_under_each_of_its_keys(evaluated, reviewed):
    first, second = table(evaluated.store)[:2]

    assert {first["key"], second["key"]} == {key.removeprefix("landing/") for key in WRONG}
    assert (first["label"], first["suggested"]) == ("spots", "stripes")
    assert float(first["label_probability"]) < 0.5 < float(first["suggested_probability"])
    samples = load_samples(evaluated.store, "first").set_index("image_id")
    assert samples.loc[first["image_id"], "split"] == first["split"]
    assert {**first, "key": ""} == {**second, "key": ""}


def test_all_images_are_looked_at_and_few_are_doubtful(evaluated, reviewed):
    assert reviewed["images"] == sum(COUNTS.values()) + 1
    assert 1 <= reviewed["issues"] <= 3
    assert reviewed["list"] == evaluated.store.uri("runs/first/label_issues.csv")
    assert reviewed["reason"] is None


def test_record_says_what_was_looked_at_and_which_images_the_page_shows(evaluated, reviewed):
    record = document(evaluated.store)

    assert (record["count"], record["images"], record["missing"]) == (reviewed["issues"], reviewed["images"], 0)
    assert (record["variant"], record["weights"], record["seed"], record["folds"]) == ("wide", "random", 7, 5)
    assert record["shown"] == [issue["image_id"] for issue in record["issues"]]
    assert record["shown"][0] == table(evaluated.store)[0]["image_id"]


def test_page_shows_the_pictures_that_the_record_names(evaluated, reviewed):
    view = load_labels_view(evaluated.store, "first")

    assert [issue.image_id for issue in view.issues] == document(evaluated.store)["shown"]
    assert all(issue.jpeg for issue in view.issues)
    assert (view.count, view.images, view.weights) == (reviewed["issues"], reviewed["images"], "random")


def test_no_label_and_no_image_is_changed(evaluated, reviewed):
    samples = load_samples(evaluated.store, "first")
    manifest = latest_snapshot(evaluated.store).manifest

    assert len(samples) == len(manifest) == sum(COUNTS.values()) + 1
    assert manifest["label"].value_counts().to_dict() == {"stripes": 14, "spots": 21}


def test_a_second_review_writes_the_same(evaluated, reviewed):
    names = ("runs/first/label_issues.csv", "runs/first/label_issues.json")
    before = [evaluated.store.get(name) for name in names]

    assert review_labels.run(evaluated, "first") == reviewed
    assert [evaluated.store.get(name) for name in names] == before


def test_as_many_are_shown_as_the_settings_ask_for(evaluated, reviewed):
    few = evaluated.settings.model_copy(update={"review": ReviewSettings(label_issues_shown=1)})

    review_labels.run(Context(few, evaluated.store), "first")

    assert len(document(evaluated.store)["shown"]) == 1
    assert len(table(evaluated.store)) >= 2


def test_zero_looks_for_none_and_says_so(evaluated, reviewed, caplog):
    off = evaluated.settings.model_copy(update={"review": ReviewSettings(label_issues_shown=0)})
    caplog.set_level("INFO")

    answer = review_labels.run(Context(off, evaluated.store), "first")

    assert (answer["issues"], answer["images"], answer["list"]) == (0, 0, None)
    assert answer["reason"] == document(evaluated.store)["reason"] == "review.label_issues_shown is 0"
    assert evaluated.store.head("runs/first/label_issues.csv") is None
    assert "no labels were looked at: review.label_issues_shown is 0" in caplog.text
    review_labels.run(evaluated, "first")


@pytest.fixture
def landed(tmp_path):
    """The same pictures, taken in by a store of their own."""
    settings = tiny_settings(tmp_path)
    context = Context(settings, open_store(settings.store))
    land(context)
    take_in(context)
    return context


def labelled(snapshot: Snapshot, image_id):
    return snapshot.manifest.set_index("image_id").loc[image_id, ["label", "split"]].tolist()


def test_labels_csv_with_the_keys_of_the_list_corrects_the_label(evaluated, reviewed, landed):
    rows = table(evaluated.store)[:2]
    lines = [f'"{row["key"]}",{row["suggested"]}' for row in rows]
    landed.store.put("landing/labels.csv", "\n".join(["key,label", *lines]).encode())

    image_id = rows[0]["image_id"]
    label, split_then = labelled(latest_snapshot(landed.store), image_id)

    assert label == "spots"
    assert labelled(take_in(landed), image_id) == ["stripes", split_then]


@pytest.mark.parametrize("how", ["one key of two", "moved"])
def test_what_comes_under_two_labels_is_refused_as_the_page_says(evaluated, reviewed, landed, how):
    image_id, store = table(evaluated.store)[0]["image_id"], landed.store
    if how == "moved":
        for key in WRONG:
            store.put(key.replace("spots", "stripes"), store.get(key))
            store.delete(key)
    else:
        store.put("landing/labels.csv", b"key,label\nspots/wrong.png,stripes\n")

    snapshot = take_in(landed)

    assert image_id not in set(snapshot.manifest["image_id"])
    refused = snapshot.ledger[snapshot.ledger["image_id"] == image_id]
    assert set(refused["reason"]) == {"label_conflict"}
