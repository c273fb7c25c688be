"""Forgetting pictures that were kept with requests, whether they ever arrived or not."""

import hashlib
import io
from datetime import UTC, datetime, timedelta

import pytest
from PIL import Image

from ml.config import ImageSettings
from ml.errors import DataError
from ml.forget import forget, plan_forgetting
from ml.request_rows import Answer, describe_request
from ml.request_store import read_requests, write_requests
from ml.steps import ingest, publish_snapshot
from ml.storage import read_json
from tiny_pictures import draw

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


def sha256(data):
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def arrived(context, put_image):
    """Published images of two classes, by their number."""
    data = [put_image(label, f"{n}.png", n + 10 * (label == "b")) for label in "ab" for n in range(6)]
    publish_snapshot.run(context, ingest.run(context, NOW)["snapshot_id"])
    return data


def keep(store, *pictures):
    answer = Answer(NOW, 1, "stable", 0, "a", (1.0, 0.0), "OK", 5.0)
    rows = [describe_request(answer, picture, ImageSettings(), keep=True) for picture in pictures]
    return write_requests(store, "classifier", rows, {sha256(picture): picture for picture in pictures})


def holds(store, data):
    return [info.key for info in store.list("") if not info.key.startswith("landing/") and data in store.get(info.key)]


def carry_out(context, name):
    plans = plan_forgetting(context, [name])
    forget(context, plans, "consent withdrawn", "ann", NOW)
    return plans[0]


def test_a_picture_that_only_requests_have_seen_is_forgotten(context, store, arrived):
    theirs, other = draw(100), draw(101)
    part = keep(store, theirs, other)

    plan = carry_out(context, sha256(theirs)[:8])

    assert set(plan.requests) == {part, f"requests/classifier/images/{sha256(theirs)[:2]}/{sha256(theirs)}"}
    assert holds(store, theirs) == []
    left = read_requests(store, "classifier", NOW - timedelta(hours=1), NOW + timedelta(hours=1))
    assert left["image_id"].tolist() == [sha256(other)]
    tombstone = read_json(store, f"forgotten/{sha256(theirs)}.json")
    assert tombstone["removed"]["requests"] == sorted(plan.requests)


def test_of_an_image_that_arrived_requests_about_the_same_pixels_go_too(context, store, arrived):
    stream = io.BytesIO()
    Image.open(io.BytesIO(arrived[3])).save(stream, "BMP")
    keep(store, arrived[3], stream.getvalue(), draw(101))

    carry_out(context, sha256(arrived[3]))

    assert holds(store, arrived[3]) == holds(store, stream.getvalue()) == []
    assert holds(store, draw(101)) != []


def test_a_forgotten_request_is_not_taken_in_when_it_arrives(context, store, arrived):
    theirs = draw(100)
    keep(store, theirs)
    carry_out(context, sha256(theirs))

    store.put("landing/a/theirs.png", theirs)
    publish_snapshot.run(context, ingest.run(context, NOW + timedelta(days=1))["snapshot_id"])

    assert holds(store, theirs) == []


def test_forgetting_twice_changes_nothing(context, store, arrived):
    keep(store, draw(100), draw(101))
    carry_out(context, sha256(draw(100)))
    before = {info.key: info.etag for info in store.list("requests/")}

    with pytest.raises(DataError, match="knows no image"):
        carry_out(context, sha256(draw(100)))

    assert {info.key: info.etag for info in store.list("requests/")} == before


def test_a_try_that_was_killed_before_the_bytes_went_is_finished(context, store, arrived, monkeypatch):
    keep(store, draw(100), draw(101))
    real = store.delete

    def delete(key):
        if key.startswith("requests/"):
            raise KeyboardInterrupt
        real(key)

    monkeypatch.setattr(store, "delete", delete)
    with pytest.raises(KeyboardInterrupt):
        carry_out(context, sha256(draw(100)))
    monkeypatch.setattr(store, "delete", real)

    carry_out(context, sha256(draw(100)))

    assert holds(store, draw(100)) == []
    assert len(list(store.list("requests/"))) == 2
