"""Forgetting an image whose store is behind S3."""

from __future__ import annotations

import hashlib
import uuid
from datetime import UTC, datetime

import numpy as np
import pytest

from ml.errors import ConfigError
from ml.features import FeatureReader, write_shard
from ml.forget import forget, plan_forgetting
from ml.snapshots import latest_snapshot
from ml.steps import ingest, publish_snapshot

NOW = datetime(2026, 1, 2, tzinfo=UTC)
PREFIX = "features/tiny/0123/"


@pytest.fixture
def settings(make_settings, moto_server, s3_credentials):
    url = f"s3://{moto_server.bucket('quartet-forget').name}/{uuid.uuid4().hex}"
    return make_settings({"store": {"url": url, "endpoint_url": moto_server.endpoint}})


@pytest.fixture
def images(context, put_image):
    """Three published images, and their feature maps in a shard with a local copy: their bytes by digest."""
    data = [put_image("a", f"{n}.png", seed=n) for n in range(3)]
    images = {hashlib.sha256(one).hexdigest(): one for one in data}
    publish_snapshot.run(context, ingest.run(context, NOW)["snapshot_id"])
    write_shard(context.store, PREFIX, list(images), np.ones((3, 1, 1, 2), np.float16))
    FeatureReader(context.store, PREFIX, context.settings.store.cache_dir).take(list(images))
    return images


def test_no_object_and_no_local_copy_of_a_shard_is_left(context, settings, images):
    image_id, *others = images
    assert len(list(settings.store.cache_dir.iterdir())) == 1
    forget(context, plan_forgetting(context, [image_id]), "why", "ann", NOW)

    left = [info.key for info in context.store.list("") if images[image_id] in context.store.get(info.key)]
    assert left == ["landing/a/0.png"]
    assert list(settings.store.cache_dir.iterdir()) == []
    reader = FeatureReader(context.store, PREFIX, settings.store.cache_dir)
    assert [one in reader for one in images] == [False, True, True]
    assert reader.take(others).tolist() == [[[[1, 1]]]] * 2
    assert set(latest_snapshot(context.store).manifest["image_id"]) == set(others)


def test_the_landing_zone_loses_exactly_what_was_taken_in(context, images, put_image):
    image_id, other, _ = images
    put_image("a", "1.png", seed=9)
    forget(context, plan_forgetting(context, [image_id, other]), "why", "ann", NOW, landing=True)

    assert [info.key for info in context.store.list("landing/")] == ["landing/a/1.png", "landing/a/2.png"]


def test_a_server_that_deletes_without_conditions_is_found_out_before_anything_is_done(context, images, monkeypatch):
    monkeypatch.setattr(type(context.store), "deletes_conditionally", lambda self: False)
    before = {info.key for info in context.store.list("")}
    plans = plan_forgetting(context, list(images)[:1])

    with pytest.raises(ConfigError, match="removes an object whatever its version is"):
        forget(context, plans, "why", "ann", NOW, landing=True)
    assert {info.key for info in context.store.list("")} == before
