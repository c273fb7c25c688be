from __future__ import annotations

from datetime import UTC, datetime

import pandas as pd
import pytest

from ml.arrivals import Arrival
from ml.backlog import Seen, arriving, chunks, read_chunk, read_rows, write_chunk, write_rows
from ml.config import ImageSettings
from ml.labels import Labeller, read_labels
from ml.manifest import LEDGER, empty
from ml.pseudonyms import Pseudonyms
from ml.storage import ObjectInfo

NOW = datetime(2026, 1, 2, tzinfo=UTC)
PSEUDONYMS = Pseudonyms(b"key")


def listed(key="landing/a/1.png", etag="e1"):
    return ObjectInfo(key, 10, etag, NOW)


def ledger(**values):
    row = {"source_key": "landing/a/1.png", "etag": "e1", "label": "a", "pixel_id": "0f"} | values
    return pd.DataFrame([dict.fromkeys(LEDGER.columns.names) | row])


@pytest.fixture
def arrivals(make_settings):
    """What is new of a listing, by key."""

    def new(listing, table=None, overrides=None, text=None):
        labeller = Labeller(make_settings(overrides), *([read_labels(text.encode())] if text else []))
        seen = Seen(empty(LEDGER) if table is None else table)
        return {arrival.key: arrival for arrival in arriving(listing, seen, labeller, PSEUDONYMS)}

    return new


def test_an_object_arrives_with_its_label_and_group(arrivals):
    text = "key,label,group\na/1.png,b,patient 7\n"

    assert arrivals([listed()], text=text) == {
        "landing/a/1.png": Arrival("landing/a/1.png", "e1", 10, NOW, "b", PSEUDONYMS.name("patient 7"))
    }


def test_an_object_whose_label_is_refused_arrives_with_the_reason(arrivals):
    (arrival,) = arrivals([listed("landing/c/1.png")], overrides={"classes": ["a", "b"]}).values()

    assert (arrival.label, arrival.reason, arrival.detail) == (None, "unknown_label", "'c' is none of a, b")


def test_what_was_seen_does_not_arrive_again(arrivals):
    assert arrivals([listed()], ledger()) == {}


def test_labels_csv_is_no_image(arrivals):
    assert arrivals([listed("landing/labels.csv")]) == {}


@pytest.mark.parametrize("info", [listed(etag="e2"), listed("landing/a/2.png")], ids=["another etag", "another key"])
def test_what_was_not_seen_arrives(arrivals, info):
    assert list(arrivals([info], ledger())) == [info.key]


def test_keys_that_are_no_text_are_known_again(arrivals):
    key = "landing/a/\udcff.png"
    seen = ledger(source_key="landing/a/\\udcff.png", reason="unrepresentable_key", pixel_id=None)

    assert list(arrivals([listed(key)])) == [key]
    assert arrivals([listed(key)], seen) == {}


@pytest.mark.parametrize("reason", ["no_label", "unknown_label", "contradictory_label"])
def test_what_was_refused_for_its_label_arrives_again_when_it_has_one(arrivals, reason):
    seen = ledger(label=None, pixel_id=None, reason=reason)
    settings = {"classes": ["b", "c"]}

    assert arrivals([listed()], seen, settings) == {}
    assert list(arrivals([listed()], seen, settings | {"landing": {"aliases": {"a": "b"}}})) == ["landing/a/1.png"]
    assert list(arrivals([listed()], seen, settings, "key,label\na/1.png,c\n")) == ["landing/a/1.png"]


@pytest.mark.parametrize("reason", [None, "label_conflict"])
def test_an_image_whose_label_was_corrected_arrives_again(arrivals, reason):
    (arrival,) = arrivals([listed()], ledger(reason=reason), text="key,label\na/1.png,b\n").values()

    assert arrival.label == "b"


def test_what_cannot_be_decoded_does_not_arrive_again_for_another_label(arrivals):
    assert arrivals([listed()], ledger(pixel_id=None, reason="truncated"), text="key,label\na/1.png,b\n") == {}


def test_what_was_released_keeps_the_label_of_its_release(arrivals):
    assert arrivals([listed()], ledger(label="b", release="r1")) == {}


def test_an_image_stays_when_its_label_is_no_longer_declared(arrivals):
    assert arrivals([listed()], ledger(), {"classes": ["b", "c"]}) == {}


def test_a_stream_is_cut_into_chunks_and_not_read_ahead():
    stream = iter(range(7))
    pieces = chunks(stream, 3)

    assert next(pieces) == [0, 1, 2]
    assert next(stream) == 3
    assert list(pieces) == [[4, 5, 6]]


ODD = Arrival("landing/a/\udcff\n.png", "e1", 10, NOW, None, None, "no_label", "none", "r1", "quarantine/x")


def test_a_chunk_comes_back_as_it_was(store):
    arrivals = [ODD, Arrival("landing/a/ü.png", "e2", 2**40, NOW, "a", "g-1")]

    assert read_chunk(store, write_chunk(store, arrivals, ImageSettings())) == arrivals


def test_equal_chunks_have_one_name_and_others_another(store):
    one = Arrival("landing/a/1.png", "e1", 10, NOW, "a")
    name = write_chunk(store, [one], ImageSettings())

    assert write_chunk(store, [one], ImageSettings()) == name
    assert write_chunk(store, [one], ImageSettings(min_side=8)) != name
    assert write_chunk(store, [Arrival("landing/a/1.png", "e1", 10, NOW, "b")], ImageSettings()) != name


def row(**values):
    base = {"source_key": "k", "etag": "e", "last_modified": NOW, "bytes": 1, "ingested_at": NOW, "snapshot": ""}
    return dict.fromkeys(LEDGER.columns.names) | base | values


def test_what_became_of_a_chunk_comes_back(store):
    assert read_rows(store, "c1") is None
    write_rows(store, "c1", [row(reason="empty")])

    assert read_rows(store, "c1")["reason"].tolist() == ["empty"]


def test_what_was_stored_first_stands(store):
    write_rows(store, "c1", [row(reason="empty")])

    assert write_rows(store, "c1", [row(reason="truncated")])["reason"].tolist() == ["empty"]


def test_a_chunk_whose_objects_all_vanished_has_no_rows(store):
    assert write_rows(store, "c1", []).empty
    assert read_rows(store, "c1") is not None
