from __future__ import annotations

import io
from datetime import UTC, datetime

import matplotlib.pyplot as plt
import pytest
from PIL import Image

from ml.errors import NotFoundError
from ml.snapshots import Snapshot
from ml.steps import describe, ingest
from ml.tombstones import write_tombstones

NAMES = ["classes.png", "samples.png", "shares.png"]


@pytest.fixture
def snapshot_id(context, put_image):
    """A snapshot with many images of one class and one of another, in several modes."""
    for seed in range(8):
        put_image("many", f"{seed}.png", seed=seed, size=(32 + seed, 300 - seed))
    stream = io.BytesIO()
    Image.new("CMYK", (40, 40), (10, 20, 30, 40)).save(stream, "JPEG")
    context.store.put("landing/one/1.jpg", stream.getvalue())
    return ingest.run(context, datetime(2026, 1, 2, tzinfo=UTC))["snapshot_id"]


def pictures(store, snapshot_id):
    return {info.key.rsplit("/", 1)[1]: store.get(info.key) for info in store.list(f"snapshots/{snapshot_id}/report/")}


def test_the_pictures_lie_beside_the_snapshot(context, snapshot_id):
    uris = describe.run(context, snapshot_id)
    drawn = pictures(context.store, snapshot_id)

    assert sorted(drawn) == sorted(uris) == NAMES
    assert uris["classes.png"] == context.store.uri(f"snapshots/{snapshot_id}/report/classes.png")
    for data in drawn.values():
        with Image.open(io.BytesIO(data)) as image:
            assert image.format == "PNG"
            assert min(image.size) > 100
            assert len(image.convert("RGB").getcolors(image.width * image.height)) > 10


def test_the_same_snapshot_gives_the_same_pictures(context, snapshot_id):
    describe.run(context, snapshot_id)
    first = pictures(context.store, snapshot_id)
    describe.run(context, snapshot_id)

    assert pictures(context.store, snapshot_id) == first


def test_an_image_that_was_forgotten_meanwhile_is_not_shown(context, snapshot_id):
    describe.run(context, snapshot_id)
    first = pictures(context.store, snapshot_id)
    row = Snapshot(context.store, snapshot_id).manifest.sort_values("image_id").iloc[0]
    write_tombstones(context.store, {"image_ids": [row["image_id"]], "pixel_id": None})
    context.store.delete(row["uri"])
    describe.run(context, snapshot_id)

    assert pictures(context.store, snapshot_id)["samples.png"] != first["samples.png"]


def test_no_figure_stays_open(context, snapshot_id):
    describe.run(context, snapshot_id)

    assert plt.get_fignums() == []


def test_a_snapshot_that_is_not_there_is_named(context):
    with pytest.raises(NotFoundError, match="snapshots/000001-abc/"):
        describe.run(context, "000001-abc")
