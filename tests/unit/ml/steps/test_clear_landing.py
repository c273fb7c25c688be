from __future__ import annotations

from datetime import UTC, datetime

import pytest

from ml.context import Context
from ml.steps import clear_landing, ingest, publish_snapshot

NOW = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.fixture
def landed(store, make_settings, put_image):
    """A context that removes what was taken in; an image, junk and labels.csv were ingested and are not published."""
    put_image("a", "1.png")
    store.put("landing/a/junk.png", b"no image")
    store.put("landing/labels.csv", b"key,label\na/1.png,a\n")
    context = Context(make_settings({"landing": {"delete_after_ingest": True}}), store)
    return context, ingest.run(context, NOW)["snapshot_id"]


def keys(store):
    return [info.key for info in store.list("landing/")]


def test_what_was_taken_in_or_quarantined_is_removed_and_nothing_else(store, put_image, landed):
    context, snapshot_id = landed
    publish_snapshot.run(context, snapshot_id)
    put_image("a", "new.png", seed=1)

    assert clear_landing.run(context) == {"removed": 2, "kept": 0}
    assert keys(store) == ["landing/a/new.png", "landing/labels.csv"]


def test_nothing_is_removed_before_it_is_published(store, landed):
    assert clear_landing.run(landed[0]) == {"removed": 0, "kept": 0}
    assert len(keys(store)) == 3


def test_a_version_that_was_not_read_stays(store, put_image, landed):
    context, snapshot_id = landed
    publish_snapshot.run(context, snapshot_id)
    put_image("a", "1.png", seed=1)

    assert clear_landing.run(context) == {"removed": 1, "kept": 0}
    assert keys(store) == ["landing/a/1.png", "landing/labels.csv"]


def test_a_version_that_is_replaced_at_that_moment_stays(store, put_image, landed, monkeypatch):
    context, snapshot_id = landed
    publish_snapshot.run(context, snapshot_id)
    remove = type(store).delete_if_match

    def replaced_first(self, key, etag):
        if key == "landing/a/1.png":
            put_image("a", "1.png", seed=1)
        remove(self, key, etag)

    monkeypatch.setattr(type(store), "delete_if_match", replaced_first)

    assert clear_landing.run(context) == {"removed": 1, "kept": 1}
    assert keys(store) == ["landing/a/1.png", "landing/labels.csv"]


def test_the_landing_zone_is_left_alone_unless_the_settings_say_otherwise(store, settings, landed):
    publish_snapshot.run(landed[0], landed[1])

    assert clear_landing.run(Context(settings, store)) == {"removed": 0, "kept": 0}
    assert len(keys(store)) == 3


def test_what_was_removed_does_not_count_as_new_when_labels_csv_names_it(store, landed):
    context, snapshot_id = landed
    publish_snapshot.run(context, snapshot_id)
    clear_landing.run(context)

    assert ingest.run(context, NOW)["changed"] is False
