"""Batches of predictions: real steps, a real store, and a server whose labels move."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime

import numpy as np
import PIL.Image
import pyarrow.parquet as pq
import pytest

from contract_model import COLOURS, expected, save_contract_model
from labelled_servers import labelled_server, write_model_config
from ml.config import Settings
from ml.context import Context
from ml.errors import ConfigError, DataError
from ml.prediction_batches import MAX_SHARDS
from ml.steps import plan_predictions, predict_shard, publish_predictions
from ml.storage import open_store, put_once
from serving.client import ModelNotFoundError, UnavailableError

pytestmark = pytest.mark.server

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LATER = datetime(2026, 1, 2, tzinfo=UTC)


def pixels_of(seed):
    return np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)


def encode(pixels):
    stream = io.BytesIO()
    PIL.Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture
def context_for(tmp_path):
    """A store with 23 images and a text, and settings of a server."""

    def make(server, **serving):
        settings = Settings.model_validate(
            {
                "model_name": "colours",
                "store": {"url": str(tmp_path / "store")},
                "images": {"max_bytes": 5000},
                "serving": {"grpc_port": server.grpc_port, "rest_port": server.rest_port} | serving,
            }
        )
        context = Context(settings, open_store(settings.store))
        for seed in range(23):
            put_once(context.store, f"incoming/{seed:02d}.png", encode(pixels_of(seed)))
        put_once(context.store, "incoming/notes.txt", b"no image")
        return context

    return make


@pytest.fixture
def context(context_for, labelled):
    return context_for(labelled)


def run_batch(context, batch_id="b", prefix="incoming/", size=10, now=NOW):
    shards = plan_predictions.run(context, batch_id, prefix, now, size)
    for shard in shards:
        predict_shard.run(context, batch_id, shard)
    return publish_predictions.run(context, batch_id, now)


def rows_of(context, batch_id="b"):
    document = json.loads(context.store.get(f"predictions/{batch_id}/batch.json"))
    return [
        row
        for part in document["parts"]
        for row in pq.read_table(io.BytesIO(context.store.get(f"predictions/{batch_id}/{part}"))).to_pylist()
    ]


def test_all_images_below_a_prefix_are_answered_by_the_version_behind_the_label(context):
    published = run_batch(context)

    rows = rows_of(context)
    assert [row["file"] for row in rows] == [*(f"incoming/{seed:02d}.png" for seed in range(23)), "incoming/notes.txt"]
    found = [[row[f"p_{name}"] for name in COLOURS] for row in rows[:23]]
    np.testing.assert_allclose(found, [expected(pixels_of(seed), 4.0) for seed in range(23)], atol=1e-6)
    assert {(row["version"], row["model"]) for row in rows} == {(4, "colours")}
    assert [row["status"] for row in rows] == ["OK"] * 23 + ["UNDECODABLE"]
    uri = context.store.uri("predictions/b/")
    statuses = {"OK": 23, "UNDECODABLE": 1}
    assert published == {"batch_id": "b", "version": 4, "images": 24, "statuses": statuses, "uri": uri}


def test_a_batch_says_what_it_is(context):
    run_batch(context)

    document = json.loads(context.store.get("predictions/b/batch.json"))
    assert (document["prefix"], document["model"], document["label"]) == ("incoming/", "colours", "stable")
    assert document["parts"] == ["part-00000.parquet", "part-00001.parquet", "part-00002.parquet"]
    assert document["classes"] == list(COLOURS)
    assert sum(document["predicted"].values()) == 23
    assert document["seconds"] > 0
    assert document["finished_at"] == NOW.isoformat()


def test_a_shard_that_was_answered_is_not_asked_again(context_for, labelled):
    context = context_for(labelled)
    shards = plan_predictions.run(context, "b", "incoming/", NOW, 10)
    predict_shard.run(context, "b", shards[0])
    before = context.store.head("predictions/b/part-00000.parquet")
    nowhere = context_for(labelled, grpc_port=1, retries=0)

    again = predict_shard.run(nowhere, "b", shards[0])

    assert again["images"] == 10
    assert context.store.head("predictions/b/part-00000.parquet") == before
    with pytest.raises(UnavailableError):
        predict_shard.run(nowhere, "b", shards[1])


def test_a_finished_batch_stays_as_it_is(context_for, labelled):
    first = run_batch(context_for(labelled))
    nowhere = context_for(labelled, grpc_port=1, retries=0)
    objects = [*nowhere.store.list("predictions/")]

    assert run_batch(nowhere, now=LATER) == first
    assert [*nowhere.store.list("predictions/")] == objects


def test_the_name_of_a_finished_batch_is_not_used_for_other_images(context):
    run_batch(context)
    context.store.put("incoming/99.png", encode(pixels_of(99)))
    objects = [*context.store.list("predictions/")]

    with pytest.raises(DataError, match="is finished, and what lies below incoming/"):
        run_batch(context)
    with pytest.raises(DataError, match="is about incoming/, not about other/"):
        run_batch(context, prefix="other/")
    other = Context(context.settings.model_copy(update={"model_name": "shapes"}), context.store)
    with pytest.raises(DataError, match="is about colours, not about shapes"):
        run_batch(other)
    assert [*context.store.list("predictions/")] == objects


def test_new_images_join_a_batch_that_is_not_finished_and_old_shards_are_kept(context):
    for shard in plan_predictions.run(context, "b", "incoming/", NOW, 10):
        predict_shard.run(context, "b", shard)
    kept = context.store.head("predictions/b/part-00000.parquet")
    context.store.put("incoming/zz.png", encode(pixels_of(99)))

    published = run_batch(context)

    assert published["images"] == 25
    assert context.store.head("predictions/b/part-00000.parquet") == kept
    assert len([*context.store.list("predictions/b/listings/")]) == 3


def test_a_batch_remembers_the_label_that_it_began_with(context_for, labelled):
    plan_predictions.run(context_for(labelled), "b", "incoming/", NOW, 10)
    other = context_for(labelled, label="canary")
    other.store.put("incoming/zz.png", encode(pixels_of(99)))

    run_batch(other)

    document = json.loads(other.store.get("predictions/b/batch.json"))
    assert (document["version"], document["label"], document["images"]) == (4, "stable", 25)


def test_a_batch_with_a_shard_missing_is_not_published(context):
    shards = plan_predictions.run(context, "b", "incoming/", NOW, 10)
    predict_shard.run(context, "b", shards[1])

    with pytest.raises(DataError, match=r"2 of 3 shards have no answers of version 4: 00000, 00002.*predict_shard"):
        publish_predictions.run(context, "b", NOW)


def test_objects_that_changed_or_are_too_large_get_a_row(context):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    context.store.put("incoming/00.png", encode(noise))
    (shard,) = plan_predictions.run(context, "b", "incoming/", NOW)
    context.store.put("incoming/01.png", encode(pixels_of(77)))
    context.store.delete("incoming/02.png")

    predict_shard.run(context, "b", shard)
    publish_predictions.run(context, "b", NOW)

    statuses = {row["file"]: row["status"] for row in rows_of(context)}
    assert statuses["incoming/00.png"] == "TOO_LARGE"
    assert (statuses["incoming/01.png"], statuses["incoming/02.png"]) == ("CHANGED", "CHANGED")
    assert statuses["incoming/03.png"] == "OK"


@pytest.mark.parametrize(
    ("prefix", "error", "message"),
    [
        ("", ConfigError, "The prefix '' takes in predictions/"),
        ("pred", ConfigError, "The prefix 'pred' takes in predictions/"),
        ("predictions/b/", ConfigError, "takes in predictions/"),
        ("nothing/", DataError, "No object lies below nothing/ in "),
    ],
)
def test_a_prefix_without_images_is_named(context, prefix, error, message):
    with pytest.raises(error, match=message):
        plan_predictions.run(context, "b", prefix, NOW)


def test_too_many_shards_are_refused(context):
    for number in range(MAX_SHARDS + 1):
        context.store.put(f"many/{number:04d}", b"")

    with pytest.raises(DataError, match="more than 1000 objects, 1000 shards of 1"):
        plan_predictions.run(context, "b", "many/", NOW, 1)
    assert len(plan_predictions.run(context, "b", "many/", NOW, 2)) == 501


def test_a_label_that_is_unknown_begins_no_batch(context_for, labelled):
    context = context_for(labelled, label="beta")

    with pytest.raises(ModelNotFoundError, match="label: beta"):
        plan_predictions.run(context, "b", "incoming/", NOW)
    assert context.store.head("predictions/b/plan.json") is None


@pytest.mark.slow
def test_a_champion_that_changes_in_the_middle_changes_no_answer(context_for, tmp_path):
    """From promotion to the withdrawal of the old version: a server of its own, whose labels move."""
    models = tmp_path / "models"
    models.mkdir()
    for version, weight in ((4, 4.0), (5, 8.0)):
        save_contract_model(models, version, weight)
    config = tmp_path / "models.config"
    write_model_config(config, "colours", models, [4], stable=4)
    with labelled_server("colours", config) as server:
        context = context_for(server)
        shards = plan_predictions.run(context, "b", "incoming/", NOW, 10)
        predict_shard.run(context, "b", shards[0])

        write_model_config(config, "colours", models, [4, 5], stable=4)
        server.wait_for(v4="AVAILABLE", v5="AVAILABLE")
        write_model_config(config, "colours", models, [4, 5], stable=5)
        # While version 4 is loaded the batch goes on with it, planned again or not.
        assert plan_predictions.run(context, "b", "incoming/", LATER, 10) == shards
        predict_shard.run(context, "b", shards[1])

        write_model_config(config, "colours", models, [5], stable=5)
        server.wait_for(v4="END")
        with pytest.raises(DataError, match=r"Version 4, which batch 'b' began with.*Clear plan_predictions"):
            predict_shard.run(context, "b", shards[2])

        published = run_batch(context)

    assert published["version"] == 5
    rows = rows_of(context)
    assert {row["version"] for row in rows} == {5}
    found = [[row[f"p_{name}"] for name in COLOURS] for row in rows[:23]]
    np.testing.assert_allclose(found, [expected(pixels_of(seed), 8.0) for seed in range(23)], atol=1e-6)
