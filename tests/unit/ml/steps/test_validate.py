from __future__ import annotations

import io
import logging
from datetime import UTC, datetime

import pytest
from PIL import Image

from ml.context import Context
from ml.errors import NotFoundError, ValidationFailedError
from ml.steps import describe, ingest, validate
from ml.storage import read_json

NOW = datetime(2026, 1, 2, tzinfo=UTC)
# Great Expectations takes about ten seconds to import.
slow = pytest.mark.slow


@pytest.fixture
def land(put_image):
    """Puts so many images of each class into the landing zone."""

    def landed(**counts):
        for offset, (label, count) in enumerate(counts.items()):
            for number in range(count):
                put_image(label, f"{number:02d}.png", seed=1000 * offset + number, size=(32, 32))

    return landed


@pytest.fixture
def validated(store, make_settings):
    """Ingests and validates under these limits; gives the snapshot's id and the result, or the error."""

    def run(classes="discover", **limits):
        overrides = {"classes": classes, "validation": {"min_images_per_class": 4, **limits}}
        context = Context(make_settings(overrides), store)
        snapshot_id = ingest.run(context, NOW)["snapshot_id"]
        try:
            return snapshot_id, validate.run(context, snapshot_id)
        except ValidationFailedError as error:
            return snapshot_id, error

    return run


def page(store, snapshot_id):
    return store.get(f"snapshots/{snapshot_id}/report/index.html").decode()


@slow
def test_sound_data_passes(store, land, validated):
    land(a=6, b=6)
    snapshot_id, result = validated()

    assert result == {
        "snapshot_id": snapshot_id,
        "checks": 20,
        "warnings": [],
        "observed": [],
        "report": store.uri(f"snapshots/{snapshot_id}/report/index.html"),
    }
    assert snapshot_id in page(store, snapshot_id)
    checks = read_json(store, f"snapshots/{snapshot_id}/report/validation.json")
    assert [check["passed"] for check in checks] == [True] * 20


@slow
def test_a_class_with_too_few_images_fails_and_is_named(store, land, validated):
    land(a=6, b=3)
    snapshot_id, error = validated()
    report = f"snapshots/{snapshot_id}/report"

    assert isinstance(error, ValidationFailedError)
    assert f"Snapshot {snapshot_id} does not meet 1 critical expectation(s): images at least " in error.message
    assert "b has 3" in error.message
    assert error.remedy.startswith(f"See {store.uri(report)}/index.html; add or mend images")
    assert error.links == {"report": f"{store.uri(report)}/index.html"}
    assert error.facts["snapshot"] == snapshot_id
    assert ["b has 3" in observed for name, observed in error.facts.items() if name != "snapshot"] == [True]
    assert "b has 3" in page(store, snapshot_id)
    failed = [check for check in read_json(store, f"{report}/validation.json") if not check["passed"]]
    assert [check["offending"] for check in failed] == [["b"]]


@slow
def test_a_single_class_fails_and_is_named(land, validated):
    land(only=6)
    _, error = validated()

    assert isinstance(error, ValidationFailedError)
    assert "different values of label: at least 2 (1: only)" in error.message


@slow
def test_a_declared_class_without_images_fails_and_is_named(land, validated):
    land(a=6, b=6)
    _, error = validated(classes=["a", "b", "c"])

    assert isinstance(error, ValidationFailedError)
    assert "does not meet 4 critical expectation(s)" in error.message
    assert "c has 0" in error.message


@slow
def test_a_warning_only_warns(store, land, validated, caplog):
    land(a=6, b=6)
    for number in range(4):
        store.put(f"landing/a/{number}.txt", b"no image %d" % number)
    with caplog.at_level(logging.WARNING, logger="ml"):
        snapshot_id, result = validated()

    assert result["warnings"] == ["quarantined_share at most 0.2"]
    assert "a has 0.25" in result["observed"][0]
    assert "a has 0.25" in caplog.text
    assert "not_an_image" in page(store, snapshot_id)


@slow
def test_a_blank_image_warns(store, land, validated):
    land(a=6, b=6)
    stream = io.BytesIO()
    Image.new("L", (40, 40), 128).save(stream, "PNG")
    store.put("landing/a/blank.png", stream.getvalue())
    _, result = validated()

    assert [warning.split()[0] for warning in result["warnings"]] == ["contrast"]


@slow
def test_the_page_has_the_pictures_that_were_drawn(store, land, settings, caplog):
    land(a=10, b=10)
    context = Context(settings, store)
    snapshot_id = ingest.run(context, NOW)["snapshot_id"]
    with caplog.at_level(logging.WARNING, logger="ml"):
        validate.run(context, snapshot_id)
    without = page(store, snapshot_id)
    describe.run(context, snapshot_id)
    validate.run(context, snapshot_id)

    assert "has no classes.png: `describe` has not run" in caplog.text
    assert page(store, snapshot_id).count("<img") == without.count("<img") + 3


def test_a_snapshot_that_is_not_there_is_named(context):
    with pytest.raises(NotFoundError, match="snapshots/000001-abc/"):
        validate.run(context, "000001-abc")
