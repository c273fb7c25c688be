import hashlib
import io
import json
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from ml.candidates import load_candidate
from ml.errors import DataError
from ml.plan import load_samples
from ml.registry import Registry
from ml.steps import promote
from ml.storage import dump_json

pytestmark = pytest.mark.slow


def published(run):
    return {info.key: info for info in run.context.store.list("models/tiny/1/")}


def test_winner_becomes_version_1_and_the_champion(first_run):
    champion = Registry(first_run.context.settings).champion()

    assert (first_run.promotion["version"], first_run.promotion["variant"]) == (1, first_run.evaluation["chosen"])
    assert (champion.version, champion.run_id) == (1, "first")


def test_sums_name_every_published_file(first_run):
    sums = first_run.context.store.get("models/tiny/1/SHA256SUMS").decode()
    named = {name: digest for digest, name in (line.split("  ") for line in sums.splitlines())}
    files = {key.removeprefix("models/tiny/1/") for key in published(first_run)} - {"SHA256SUMS"}

    assert set(named) == files
    assert {"saved_model.pb", "assets.extra/tf_serving_warmup_requests", "assets.extra/decision.json"} <= files
    for name, digest in named.items():
        data = first_run.context.store.get(f"models/tiny/1/{name}")
        assert hashlib.sha256(data).hexdigest() == digest


def test_promotion_is_on_record(first_run):
    record = json.loads(first_run.context.store.get("promotions/tiny/00000001.json"))

    assert record["run_id"] == "first"
    assert record["snapshot_id"] == first_run.plan["snapshot_id"]
    assert record["reason"].startswith("Cleared: macro F1")


def test_promoting_again_is_the_same_promotion(first_run):
    record = first_run.context.store.get("promotions/tiny/00000001.json")

    again = promote.run(first_run.context, "first")

    assert again == first_run.promotion
    assert first_run.context.store.get("promotions/tiny/00000001.json") == record


def test_what_was_promoted_is_not_written_again(first_run):
    before = published(first_run)

    promote.run(first_run.context, "first")

    assert published(first_run) == before


def test_earlier_promotion_takes_nothing_back_from_a_later_one(first_run):
    store, later = first_run.context.store, "promotions/tiny/00000002.json"
    store.put(
        later, dump_json({"run_id": "other", "variant": "wide", "version": 2, "at": datetime.now(UTC).isoformat()})
    )
    registry = Registry(first_run.context.settings)
    registry._client.delete_registered_model_alias("tiny", "champion")

    again = promote.run(first_run.context, "first")

    assert again == first_run.promotion
    assert registry.champion() is None
    store.delete(later)
    promote.run(first_run.context, "first")
    assert registry.champion().version == 1


def test_model_card_and_decision_travel_with_the_version(first_run):
    store = first_run.context.store
    card = store.get("models/tiny/1/assets.extra/model_card.md").decode()
    record = json.loads(store.get("promotions/tiny/00000001.json"))

    assert card.startswith("# Model card: tiny, version 1\n")
    assert "random, untrained weights (seed 1)" in card
    assert f"promoted {datetime.fromisoformat(record['at']):%Y-%m-%d %H:%M} UTC" in card
    assert json.loads(store.get("models/tiny/1/assets.extra/decision.json")) == first_run.decision


def test_tie_with_the_champion_is_not_promoted(second_run):
    assert second_run.promotion is None
    assert "better than the champion" in second_run.decision["reason"]
    with pytest.raises(DataError, match=r"Run second was not cleared: Rejected: better than the champion"):
        promote.run(second_run.context, "second")


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


def test_ensemble_is_champion_under_its_name(voting_run, ensemble_promotion):
    champion = Registry(voting_run.context.settings).champion()

    assert ensemble_promotion["variant"] == "ensemble"
    assert (champion.version, champion.run_id, champion.variant) == (ensemble_promotion["version"], "vote", "ensemble")
    contender = load_candidate(voting_run.context.store, champion.run_id, champion.variant)
    assert len(contender.members) == 2


def test_model_that_disagrees_with_its_evaluation_is_not_published(first_run, monkeypatch):
    """A tolerance that nothing meets stands for a model that was exported wrongly."""
    monkeypatch.setattr("ml.steps.promote.TOLERANCE", {"float32": -1.0})
    store, key = first_run.context.store, "models/tiny/1/SHA256SUMS"
    sums = store.get(key)
    store.delete(key)
    before = published(first_run)

    with pytest.raises(DataError, match=r"differs from its evaluation by 0\.\d+ in probability.*precision: float32"):
        promote.run(first_run.context, "first")
    assert published(first_run) == before
    store.put(key, sums)


def test_killed_before_the_sums_it_ends_the_same_when_run_again(first_run):
    store = first_run.context.store
    store.delete("models/tiny/1/SHA256SUMS")
    store.delete("models/tiny/1/saved_model.pb")

    assert promote.run(first_run.context, "first")["version"] == 1
    assert store.head("models/tiny/1/SHA256SUMS") is not None
    assert store.head("models/tiny/1/saved_model.pb") is not None
    assert Registry(first_run.context.settings).champion().version == 1
