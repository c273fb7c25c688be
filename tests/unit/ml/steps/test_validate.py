from __future__ import annotations

import io
import logging
import subprocess
import sys
from datetime import UTC, datetime

import pytest
from PIL import Image

from ml.context import Context
from ml.errors import NotFoundError, ValidationFailedError
from ml.snapshots import Snapshot, publish_snapshot
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

    checks = read_json(store, f"snapshots/{snapshot_id}/report/validation.json")
    assert result == {
        "snapshot_id": snapshot_id,
        "checks": len(checks),
        "warnings": [],
        "observed": [],
        "not_measured": [check["title"] for check in checks if check["status"] == "not measured"],
        "report": store.uri(f"snapshots/{snapshot_id}/report/index.html"),
    }
    assert snapshot_id in page(store, snapshot_id)
    assert {check["status"] for check in checks if check["topic"] != "Drift"} == {"passed"}
    assert {check["observed"] for check in checks if check["topic"] == "Drift"} == {
        "not measured: the first snapshot has no parent",
        "not measured: 12 new images, at least 30",
    }


@slow
def test_a_class_with_too_few_images_fails_and_is_named(store, land, validated):
    land(a=6, b=3)
    snapshot_id, error = validated()
    report = f"snapshots/{snapshot_id}/report"

    assert isinstance(error, ValidationFailedError)
    assert (
        f"Snapshot {snapshot_id} does not meet 1 critical expectation(s): Images of each class: at least"
        in error.message
    )
    assert "b has 3" in error.message
    assert error.remedy.startswith(f"See {store.uri(report)}/index.html; add or mend images")
    assert error.links == {"report": f"{store.uri(report)}/index.html"}
    assert error.facts["snapshot"] == snapshot_id
    assert ["b has 3" in observed for name, observed in error.facts.items() if name != "snapshot"] == [True]
    assert "b has 3" in page(store, snapshot_id)
    failed = [check for check in read_json(store, f"{report}/validation.json") if check["status"] == "failed"]
    assert [check["offending"] for check in failed] == [["b"]]


@slow
def test_a_single_class_fails_and_is_named(land, validated):
    land(only=6)
    _, error = validated()

    assert isinstance(error, ValidationFailedError)
    assert "Different labels: at least 2 (1: only)" in error.message


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

    assert result["warnings"] == [
        "Quarantined, of what arrived now: at most 20 %",
        "Quarantined, of everything seen: at most 20 %",
    ]
    assert "25 %, 4 of 16" in result["observed"][0]
    assert "25 %, 4 of 16" in caplog.text
    assert "not_an_image" in page(store, snapshot_id)


@slow
def test_a_blank_image_warns(store, land, validated):
    land(a=6, b=6)
    stream = io.BytesIO()
    Image.new("L", (40, 40), 128).save(stream, "PNG")
    store.put("landing/a/blank.png", stream.getvalue())
    _, result = validated()

    assert [warning.split(":")[0] for warning in result["warnings"]] == ["Contrast", "Sharpness"]


@slow
def test_images_that_fail_are_on_the_page_and_in_the_document(store, land, make_settings):
    land(a=6, b=6)
    snapshot_id = ingest.run(Context(make_settings(), store), NOW)["snapshot_id"]
    strict = make_settings({"images": {"min_side": 33}, "validation": {"min_images_per_class": 3}})
    with pytest.raises(ValidationFailedError, match="Width: from 33 to "):
        validate.run(Context(strict, store), snapshot_id)

    checks = read_json(store, f"snapshots/{snapshot_id}/report/validation.json")
    (width,) = [check for check in checks if check["title"] == "Width"]
    images = Snapshot(store, snapshot_id).manifest["image_id"]
    assert width["offending_count"] == 12
    assert set(width["offending"]) == set(images)
    shown = page(store, snapshot_id)
    assert all(f'title="{image_id}"' in shown for image_id in images)
    assert shown.count('src="data:image/jpeg;base64,') == 24


@slow
def test_new_images_are_compared_with_the_parents(store, land, validated, put_image):
    land(a=20, b=20)
    first, _ = validated()
    publish_snapshot(store, first)
    for number in range(40):
        put_image("a", f"large{number}.png", seed=5000 + number, size=(96, 96))
    second, result = validated()

    assert "Width, against the parent's: at most 0.436" in result["warnings"]
    assert "Brightness" not in " ".join(result["warnings"])
    assert "40 new images against 40" in page(store, second)


@slow
def test_what_was_odd_at_ingest_is_on_the_page(store, land, validated):
    land(a=6, b=6)
    store.put("landing/labels.csv", b"key,label,age\n<none>.png,b,4\n")
    snapshot_id, _ = validated()
    notices = page(store, snapshot_id).partition("<section")[0]

    assert "<p>labels.csv has columns that are not read: age; landing.attributes lists those to be kept</p>" in notices
    assert "<p>labels.csv names 1 key(s) without an object: &lt;none&gt;.png</p>" in notices


@slow
def test_great_expectations_own_pages_lie_beside_the_page(store, land, validated):
    land(a=6, b=6)
    snapshot_id, _ = validated()
    validated()
    keys = [info.key for info in store.list(f"snapshots/{snapshot_id}/report/gx/")]

    assert f"snapshots/{snapshot_id}/report/gx/index.html" in keys
    assert len([key for key in keys if "/gx/validations/" in key]) == 6
    assert 'href="gx/index.html"' in page(store, snapshot_id)


@slow
def test_great_expectations_own_pages_can_be_left_out(store, land, validated):
    land(a=6, b=6)
    snapshot_id, _ = validated(data_docs=False)

    assert list(store.list(f"snapshots/{snapshot_id}/report/gx/")) == []
    assert "gx/index.html" not in page(store, snapshot_id)


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


@slow
def test_tensorflow_is_not_imported():
    names = "ml.steps.validate, ml.expectations, mlflow.tracking"
    program = f"import sys, {names}; sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"

    assert subprocess.run([sys.executable, "-W", "ignore", "-c", program], check=False).returncode == 0


def test_a_snapshot_that_is_not_there_is_named(context):
    with pytest.raises(NotFoundError, match="snapshots/000001-abc/"):
        validate.run(context, "000001-abc")
