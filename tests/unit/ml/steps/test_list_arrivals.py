from __future__ import annotations

import logging
from datetime import UTC, datetime

import pytest

from ml.attributes import decode_attributes
from ml.backlog import read_chunk
from ml.context import Context
from ml.errors import ConfigError, DataError
from ml.steps import list_arrivals
from ml.storage import read_json

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def plan(store):
    return read_json(store, "arrivals/plans/run.json")


def test_what_is_new_lies_in_chunks_of_the_size_that_is_set(store, make_settings, put_image):
    for number in range(5):
        put_image("a", f"{number}.png", seed=number)
    chunks = list_arrivals.run(Context(make_settings({"landing": {"chunk_size": 2}}), store), "run", NOW)

    assert [len(read_chunk(store, chunk)) for chunk in chunks] == [2, 2, 1]
    assert plan(store) == {
        "started_at": NOW.isoformat(),
        "asked_by": "",
        "reason": "",
        "chunks": chunks,
        "notes": [],
        "releases": [],
        "attributes": None,
    }


def test_no_picture_is_read(context, store):
    store.put("landing/a/1.png", b"no image")
    (chunk,) = list_arrivals.run(context, "run", NOW)

    assert [arrival.key for arrival in read_chunk(store, chunk)] == ["landing/a/1.png"]
    assert {info.key.split("/")[0] for info in store.list("")} == {"landing", "arrivals", "pseudonyms"}


def test_what_is_odd_about_labels_csv_is_said(context, store, put_image, caplog):
    put_image("a", "1.png")
    store.put("landing/labels.csv", b"key,label,age\na/1.png,b,3\na/1.png,b,3\nnone.png,b,4\n")
    with caplog.at_level(logging.WARNING):
        list_arrivals.run(context, "run", NOW)

    assert plan(store)["notes"] == [
        "labels.csv has columns that are not read: age; landing.attributes lists those to be kept",
        "labels.csv names a/1.png more than once",
        "labels.csv names 1 key(s) without an object: none.png",
    ]
    assert [record.message for record in caplog.records] == plan(store)["notes"]


def test_a_labels_csv_that_is_no_table_stops_the_ingest(context, store, put_image):
    put_image("a", "1.png")
    store.put("landing/labels.csv", b"\x89PNG")

    with pytest.raises(DataError, match=r"landing/labels\.csv is not a comma-separated table"):
        list_arrivals.run(context, "run", NOW)
    assert list(store.list("arrivals/")) == []


@pytest.fixture
def with_sites(make_settings, store, put_image):
    """A context that keeps the column site of labels.csv, and an image."""
    put_image("a", "1.png")
    store.put("landing/labels.csv", b"key,label,site\na/1.png,a,Ulm\nnone.png,a,\n")
    return Context(make_settings({"landing": {"attributes": ["site"]}}), store)


def test_attributes_are_stored_once_for_the_same_table(with_sites, store):
    list_arrivals.run(with_sites, "run", NOW)
    key = plan(store)["attributes"]
    list_arrivals.run(with_sites, "run", NOW)

    assert decode_attributes(store.get(key)).to_dict()["site"] == {"landing/a/1.png": "Ulm", "landing/none.png": ""}
    assert [info.key for info in store.list("arrivals/attributes/")] == [key] == [plan(store)["attributes"]]


def test_without_attributes_nothing_is_stored_of_them(context, with_sites, store):
    list_arrivals.run(context, "run", NOW)

    assert plan(store)["attributes"] is None
    assert list(store.list("arrivals/attributes/")) == []


def test_what_is_beyond_the_most_chunks_waits(store, make_settings, put_image, monkeypatch):
    monkeypatch.setattr(list_arrivals, "MAX_CHUNKS", 2)
    for number in range(5):
        put_image("a", f"{number}.png", seed=number)
    chunks = list_arrivals.run(Context(make_settings({"landing": {"chunk_size": 2}}), store), "run", NOW)

    assert len(chunks) == 2
    assert plan(store)["notes"] == ["more than 4 objects are new; the others wait for the next ingest"]


def test_a_store_that_removes_regardless_is_refused_before_anything_is_read(
    store, make_settings, put_image, monkeypatch
):
    monkeypatch.setattr(type(store), "deletes_conditionally", lambda self: False)
    put_image("a", "1.png")
    context = Context(make_settings({"landing": {"delete_after_ingest": True}}), store)

    with pytest.raises(ConfigError, match=r"landing\.delete_after_ingest is set, but .* Set it to false"):
        list_arrivals.run(context, "run", NOW)
