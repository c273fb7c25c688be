import hashlib
import io
import json

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from ml.errors import DataError
from ml.plan import load_samples
from ml.registry import Registry
from ml.steps import publish

pytestmark = pytest.mark.slow


def published(run):
    return {info.key: info for info in run.context.store.list("models/tiny/1/")}


def test_sums_name_every_published_file(first_run):
    sums = first_run.context.store.get("models/tiny/1/SHA256SUMS").decode()
    named = {name: digest for digest, name in (line.split("  ") for line in sums.splitlines())}
    files = {key.removeprefix("models/tiny/1/") for key in published(first_run)} - {"SHA256SUMS"}

    assert set(named) == files
    assert {
        "saved_model.pb",
        "assets.extra/tf_serving_warmup_requests",
        "assets.extra/decision.json",
        "assets.extra/infra_validation.json",
        "assets.extra/model_card.md",
        "assets.extra/serving.json",
        "assets.extra/labels.txt",
    } <= files
    for name, digest in named.items():
        data = first_run.context.store.get(f"models/tiny/1/{name}")
        assert hashlib.sha256(data).hexdigest() == digest


def test_what_was_published_is_not_written_again(first_run):
    before = published(first_run)

    again = publish.run(first_run.context, "first")

    assert again == publish.load_publication(first_run.context, "first")
    assert again["version"] == 1
    assert published(first_run) == before


def test_a_fresh_server_answered_on_every_signature_before_it_was_published(first_run):
    validation = publish.load_publication(first_run.context, "first")["validation"]

    assert validation["images"] > 1
    assert set(validation["differences"]) >= {"serving_default", "explain", "classify"}
    assert max(validation["differences"].values()) <= validation["tolerance"] == 0.01
    assert validation["load_seconds"] > 0
    assert validation["peak_memory_mb"] > 100


def test_model_card_and_decision_travel_with_the_version(first_run):
    store = first_run.context.store
    card = store.get("models/tiny/1/assets.extra/model_card.md").decode()

    assert card.startswith("# Model card: tiny, version 1\n")
    assert r"random, untrained weights \(seed 1\)" in card
    assert json.loads(store.get("models/tiny/1/assets.extra/decision.json")) == first_run.decision


def test_the_registry_knows_the_version_as_published(first_run):
    assert Registry(first_run.context.settings).versions()[("first", first_run.evaluation["chosen"])] == (1,)


def test_what_the_gate_rejected_is_not_published(second_run):
    with pytest.raises(DataError, match=r"Run second was not cleared: Rejected: better than the champion"):
        publish.run(second_run.context, "second")


def test_ensemble_is_published_as_one_model_that_answers_as_it_was_evaluated(voting_run, ensemble_promotion, tmp_path):
    store = voting_run.context.store
    prefix = f"models/tiny/{ensemble_promotion['version']}/"
    for info in store.list(prefix):
        path = tmp_path / info.key.removeprefix(prefix)
        path.parent.mkdir(parents=True, exist_ok=True)
        store.download(info.key, path)
    table = pd.read_parquet(io.BytesIO(store.get("runs/vote/ensemble/predictions.parquet")))
    test = table[table["split"] == "test"].merge(load_samples(store, "vote")[["image_id", "uri"]], on="image_id")
    images = tf.constant([store.get(uri) for uri in test["uri"]])

    answer = tf.saved_model.load(str(tmp_path)).signatures["explain"](image_bytes=images)

    np.testing.assert_allclose(answer["probabilities"], test[["p_spots", "p_stripes"]], atol=0.01)
    np.testing.assert_allclose(tf.reduce_sum(answer["attention"], axis=(1, 2)), 1, atol=1e-5)


def test_model_that_disagrees_with_its_evaluation_is_not_published(first_run, monkeypatch):
    """A tolerance that nothing meets stands for a model that was exported wrongly."""
    monkeypatch.setattr("ml.steps.publish.TOLERANCE", {"float32": -1.0})
    store, key = first_run.context.store, "models/tiny/1/SHA256SUMS"
    record = next(iter(store.list("promotions/")))
    sums, promotion = store.get(key), store.get(record.key)
    store.delete(key)
    store.delete(record.key)

    with pytest.raises(DataError, match=r"differs from its evaluation by"):
        publish.run(first_run.context, "first")
    assert not list(store.list("models/tiny/2/"))
    store.put(key, sums)
    store.put(record.key, promotion)
