import hashlib
import io
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from PIL import Image

from ml.arrivals import Arrival, quarantine_conflict, take_object
from ml.context import Context
from ml.manifest import LEDGER
from ml.pseudonyms import Pseudonyms
from ml.storage import read_json

NOW = datetime(2026, 1, 2, tzinfo=UTC)
PSEUDONYMS = Pseudonyms(b"key")


def listed(store, key, **known):
    """The object at a key as a listing shows it, labelled by its folder."""
    info = store.head(key)
    seen = {"key": key, "etag": info.etag, "bytes": info.size, "last_modified": info.last_modified}
    return Arrival(**seen | {"label": key.split("/")[1]} | known)


def taken_in(context, arrival):
    """The row of an object, what it brings being stored."""
    taken = take_object(context, arrival, PSEUDONYMS, NOW)
    context.store.put_all_once(taken.objects)
    return taken.row


@pytest.fixture
def take(context):
    """Takes in the object at a key."""
    return lambda key, **known: taken_in(context, listed(context.store, key, **known))


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def keys(store, prefix):
    return [info.key for info in store.list(prefix)]


def records(store, reason):
    return [read_json(store, key) for key in keys(store, f"quarantine/{reason}/") if key.endswith(".json")]


def test_an_accepted_object_is_stored_under_its_digest(store, put_image, take):
    data = put_image("glioma", "deep/1.png")
    row = take("landing/glioma/deep/1.png")

    assert row["uri"] == f"images/{sha256(data)[:2]}/{sha256(data)}.png"
    assert store.get(row["uri"]) == data
    assert keys(store, "images/") == [row["uri"]]
    assert keys(store, "quarantine/") == []


def test_the_row_of_an_accepted_object_says_everything(store, put_image, take):
    data = put_image("glioma", "1.png", size=(48, 40))
    row = take("landing/glioma/1.png")

    assert list(row) == LEDGER.columns.names
    assert [name for name, value in row.items() if value is None] == [
        "reason",
        "explicit_group",
        "group",
        "split",
        "excluded",
        "release",
    ]
    assert (
        row.items()
        >= {
            "source_key": "landing/glioma/1.png",
            "etag": store.head("landing/glioma/1.png").etag,
            "bytes": len(data),
            "label": "glioma",
            "image_id": sha256(data),
            "width": 48,
            "height": 40,
            "channels": 3,
            "format": "PNG",
            "ingested_at": NOW,
        }.items()
    )


def test_training_reads_the_canonical_copy_where_there_is_one(store, take):
    stream = io.BytesIO()
    Image.effect_mandelbrot((48, 40), (-2, -1, 1, 1), 50).save(stream, "BMP")
    store.put("landing/glioma/1.bmp", stream.getvalue())
    row = take("landing/glioma/1.bmp")
    original = f"images/{row['image_id'][:2]}/{row['image_id']}.bmp"

    assert row["uri"] == f"{original}.canonical.png"
    assert store.get(original) == stream.getvalue()
    with Image.open(io.BytesIO(store.get(row["uri"]))) as image:
        assert (image.format, image.mode, image.size) == ("PNG", "L", (48, 40))


def test_taking_an_object_twice_changes_nothing(store, put_image, take):
    put_image("glioma", "1.png")
    first = take("landing/glioma/1.png")
    before = list(store.list(""))

    assert take("landing/glioma/1.png") == first
    assert list(store.list("")) == before


def test_a_refused_object_is_kept_with_a_record(store, take):
    store.put("landing/glioma/1.png", b"no image")
    row = take("landing/glioma/1.png")
    (kept,) = [key for key in keys(store, "quarantine/not_an_image/") if key.endswith("/object")]

    assert store.get(kept) == b"no image"
    assert records(store, "not_an_image") == [
        {
            "source_key": "landing/glioma/1.png",
            "sha256": sha256(b"no image"),
            "reason": "not_an_image",
            "detail": "none of JPEG, PNG, TIFF, BMP, WEBP, DICOM",
            "quarantined_at": NOW.isoformat(),
        }
    ]
    assert (row["reason"], row["label"], row["image_id"]) == ("not_an_image", "glioma", sha256(b"no image"))
    assert (row["uri"], row["pixel_id"]) == (None, None)
    assert keys(store, "images/") == []


def test_equal_refused_objects_are_kept_once_with_a_record_each(store, take):
    for name in ("1.png", "2.png"):
        store.put(f"landing/glioma/{name}", b"no image")
        take(f"landing/glioma/{name}")

    assert len(keys(store, "quarantine/not_an_image/")) == 3
    assert {record["source_key"] for record in records(store, "not_an_image")} == {
        "landing/glioma/1.png",
        "landing/glioma/2.png",
    }


def test_an_object_that_is_too_large_is_quarantined_by_its_digest(store, make_settings):
    settings = make_settings({"images": {"max_bytes": 1000}})
    store.put("landing/glioma/large.png", bytes(1001))
    row = taken_in(Context(settings, store), listed(store, "landing/glioma/large.png"))

    assert (row["reason"], row["image_id"], row["bytes"]) == ("too_many_bytes", sha256(bytes(1001)), 1001)
    assert store.get(f"quarantine/too_many_bytes/{sha256(bytes(1001))}/object") == bytes(1001)
    assert records(store, "too_many_bytes")[0]["detail"] == "1001 bytes, at most 1000"


def test_an_object_whose_label_is_refused_is_quarantined_for_that(store, put_image, take):
    data = put_image("gliomas", "1.png")
    refused = {"label": None, "reason": "unknown_label", "detail": "'gliomas' is none of glioma, notumor"}
    row = take("landing/gliomas/1.png", **refused)

    assert (row["reason"], row["label"], row["image_id"]) == ("unknown_label", None, sha256(data))
    assert records(store, "unknown_label")[0]["detail"] == refused["detail"]


@pytest.mark.parametrize(
    "name", ["tab\tulator.png", "line\nfeed.png", "\udcff.png"], ids=["tabulator", "line feed", "not UTF-8"]
)
def test_a_key_that_cannot_be_represented_is_quarantined_with_its_bytes(store, put_image, take, tmp_path, name):
    data = put_image("glioma", "1.png")
    (tmp_path / "store/landing/glioma/1.png").rename(tmp_path / "store/landing/glioma" / name)
    row = take(f"landing/glioma/{name}")
    (record,) = records(store, "unrepresentable_key")

    assert row["reason"] == "unrepresentable_key"
    assert (
        record["source_key"] == row["source_key"] == f"landing/glioma/{name}".encode(errors="backslashreplace").decode()
    )
    assert store.get(f"quarantine/unrepresentable_key/{sha256(data)}/object") == data


def test_a_released_object_is_read_from_quarantine_under_its_own_version(context, store, put_image, take):
    data = put_image("glioma", "1.png")
    arrival = listed(store, "landing/glioma/1.png")
    take("landing/glioma/1.png", label=None, reason="no_label", detail="")
    store.delete("landing/glioma/1.png")
    stored_at = f"quarantine/no_label/{sha256(data)}/object"
    row = taken_in(context, replace(arrival, release="r1", stored_at=stored_at))

    assert (row["reason"], row["release"], row["etag"]) == (None, "r1", arrival.etag)
    assert store.get(row["uri"]) == data


@pytest.mark.parametrize("max_bytes", [1, 2**20], ids=["too large", "acceptable"])
def test_an_object_that_vanished_since_it_was_listed_has_no_row(store, put_image, make_settings, max_bytes):
    put_image("glioma", "1.png")
    arrival = listed(store, "landing/glioma/1.png")
    store.delete(arrival.key)
    context = Context(make_settings({"images": {"max_bytes": max_bytes}}), store)

    assert take_object(context, arrival, PSEUDONYMS, NOW) is None
    assert list(store.list("")) == []


def test_an_object_replaced_since_it_was_listed_is_booked_as_it_was_read(context, put_image):
    put_image("glioma", "1.png", seed=1)
    arrival = listed(context.store, "landing/glioma/1.png")
    data = put_image("glioma", "1.png", seed=2)
    row = taken_in(context, arrival)

    assert row["image_id"] == sha256(data)
    assert row["etag"] == context.store.head(arrival.key).etag != arrival.etag


@pytest.mark.parametrize("format_name", ["PNG", "BMP"])
def test_a_disputed_image_is_copied_to_quarantine(store, take, format_name):
    stream = io.BytesIO()
    Image.effect_mandelbrot((48, 40), (-2, -1, 1, 1), 50).save(stream, format_name)
    store.put("landing/glioma/1", stream.getvalue())
    row = take("landing/glioma/1")
    store.put_all_once(quarantine_conflict(store, row))

    assert store.get(f"quarantine/label_conflict/{row['image_id']}/object") == stream.getvalue()
    (record,) = records(store, "label_conflict")
    assert record["detail"] == "these pixels came as 'glioma' and under another label"
    assert record["source_key"] == "landing/glioma/1"
