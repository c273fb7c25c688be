from __future__ import annotations

import hashlib
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from ml.config import Settings
from ml.manifest import LEDGER, MANIFEST
from ml.measures import Measure
from ml.quality import check_snapshot

# Great Expectations takes about ten seconds to import.
pytestmark = pytest.mark.slow

OLD, NEW = "000001-a", "000002-b"
TIME = pd.Timestamp("2026-01-01", tz="UTC")
PROPERTIES = ("Brightness", "Contrast", "Sharpness", "Width", "Height", "Bytes")


def sha(text):
    return hashlib.sha256(text.encode()).hexdigest()


FIRST, SECOND = sha("a0"), sha("a1")


@pytest.fixture
def manifest_of():
    """A sound manifest with so many images of each class, in which columns of the first row are changed."""

    def made(counts=None, snapshot=NEW, start=0, **first):
        names = [
            (label, number)
            for label, count in (counts or {"a": 12, "b": 12}).items()
            for number in range(start, start + count)
        ]
        generator = np.random.default_rng(start)
        frame = pd.DataFrame(
            {
                "image_id": [sha(f"{label}{number}") for label, number in names],
                "pixel_id": [sha(f"pixels of {label}{number}") for label, number in names],
                "uri": [f"images/{label}{number}" for label, number in names],
                "source_key": [f"landing/{label}/{number}.png" for label, number in names],
                "label": [label for label, _ in names],
                "group": [f"{label}{number}" for label, number in names],
                "split": [("train", "validation", "test")[number % 3] for _, number in names],
                "excluded": None,
                "width": 40,
                "height": 40,
                "channels": 3,
                "bytes": generator.integers(100, 200, len(names)),
                "format": "PNG",
                "perceptual_hash": "0" * 16,
                "brightness": generator.normal(60, 5, len(names)),
                "contrast": generator.normal(20, 1, len(names)),
                "sharpness": generator.normal(300, 20, len(names)),
                "ingested_at": TIME,
                "snapshot": snapshot,
            }
        )
        for column, value in first.items():
            frame[column] = [value, *frame[column].iloc[1:]]
        return frame

    return made


@pytest.fixture
def ledger_of():
    """The ledger of a manifest's images, with so many more objects: duplicates and refused ones."""

    def made(manifest, duplicates=0, refused=0, snapshot=NEW):
        more = pd.DataFrame(
            [
                {"source_key": f"landing/more/{number}", "reason": "empty" if number < refused else None}
                for number in range(refused + duplicates)
            ],
            columns=["source_key", "reason"],
        ).assign(snapshot=snapshot)
        return pd.concat([manifest, more]).reindex(columns=LEDGER.columns.names)

    return made


def snapshot_of(manifest, ledger):
    """A snapshot of tables that a store would not take."""
    return SimpleNamespace(snapshot_id=NEW, manifest=manifest, ledger=ledger)


@pytest.fixture
def check(ledger_of):
    """The outcomes by their titles; those of a title that comes up twice must be told apart by what is required."""

    def run(manifest, ledger=None, parent=None, classes="discover", measures=(), **sections):
        settings = Settings.model_validate({"classes": classes} | sections)
        ledger = ledger_of(manifest) if ledger is None else ledger
        return check_snapshot(snapshot_of(manifest, ledger), parent, settings, measures)

    return run


@pytest.fixture
def failures(check):
    """The expectations that are not met."""

    def run(manifest, **arguments):
        return [result for result in check(manifest, **arguments) if result.status == "failed"]

    return run


@pytest.fixture
def drifted(check, manifest_of):
    """The outcomes about drift of 60 images that arrive, against a parent of 120."""

    def run(changes=None, counts=None, **limits):
        parent = manifest_of({"a": 60, "b": 60}, snapshot=OLD)
        arrived = manifest_of(counts or {"a": 30, "b": 30}, start=100).assign(**(changes or {}))
        manifest = pd.concat([parent, arrived], ignore_index=True)
        results = check(manifest, parent=parent, validation=limits)
        return {result.title.split(",")[0]: result for result in results if result.topic == "Drift"}

    return run


def test_a_sound_snapshot_meets_every_expectation(check, manifest_of):
    results = check(manifest_of())

    assert [result for result in results if result.status == "failed"] == []
    assert {result.severity for result in results} == {"critical", "warning"}
    assert [result.status for result in results].count("passed") == 43


@pytest.mark.parametrize("column", ["sharpness", "label", "snapshot"])
def test_a_column_that_is_missing_is_named_and_ends_the_check(check, manifest_of, column):
    (result,) = check(manifest_of().drop(columns=column), ledger=pd.DataFrame())

    assert (result.severity, result.status, result.observed) == ("critical", "failed", f"missing: {column}")


def test_a_column_too_many_is_named(failures, manifest_of):
    (failure,) = failures(manifest_of().assign(colour="red"))

    assert (failure.severity, failure.observed) == ("critical", "unknown: colour")


@pytest.mark.parametrize("column", [field.name for field in MANIFEST.columns if not field.nullable])
def test_a_value_that_is_missing_fails(check, manifest_of, column):
    manifest = manifest_of()
    manifest[column] = [None, *manifest[column].iloc[1:]]
    results = check(manifest, classes=["a", "b"])
    (result,) = [result for result in results if result.expectation == f"{column}: present"]

    assert (result.severity, result.status) == ("critical", "failed")
    assert result.observed.startswith("1 of 24 outside (4.17 %): ")


@pytest.mark.parametrize(
    ("column", "value", "expectation"),
    [
        ("image_id", "ab", "image_id: a SHA-256 in hexadecimal digits"),
        ("image_id", SECOND, "image_id: unique"),
        ("pixel_id", "ab", "pixel_id: a SHA-256 in hexadecimal digits"),
        ("pixel_id", sha("pixels of a1"), "pixel_id: unique"),
        ("split", "held out", "Split: one of train, validation, test, excluded"),
        ("label", "c", "Label: one of a, b"),
        ("width", 31, "Width: from 32 to 1,562,500"),
        ("width", 2_000_000, "Width: from 32 to 1,562,500"),
        ("height", 31, "Height: from 32 to 1,562,500"),
        ("bytes", 0, "Bytes: from 1 to 67,108,864"),
        ("bytes", 2**30, "Bytes: from 1 to 67,108,864"),
        ("channels", 5, "Channels: from 1 to 4"),
    ],
)
def test_one_bad_value_fails_its_critical_expectation(failures, manifest_of, column, value, expectation):
    (failure,) = failures(manifest_of(**{column: value}), classes=["a", "b"])

    assert (failure.severity, failure.expectation) == ("critical", expectation)


def test_the_images_that_are_outside_are_named(failures, manifest_of):
    (failure,) = failures(manifest_of(width=3))

    assert (failure.about, failure.offending, failure.offending_count) == ("images", (FIRST,), 1)
    assert failure.observed == f"1 of 24 outside (4.17 %): {FIRST[:12]}… has 3"


def test_at_most_two_hundred_images_are_named_and_all_are_counted(failures, manifest_of):
    (failure,) = failures(manifest_of({"a": 150, "b": 150}).assign(contrast=0.5))

    assert failure.observed.startswith("300 of 300 outside (100 %): ")
    assert failure.observed.endswith("; …")
    assert (len(failure.offending), failure.offending_count) == (200, 300)


def test_a_group_in_two_splits_is_named_by_its_images(failures, manifest_of):
    (failure,) = failures(manifest_of(group="a1"))

    assert (failure.severity, failure.title) == ("critical", "Splits that an image's group lies in")
    assert set(failure.offending) == {FIRST, SECOND}


def test_an_excluded_image_holds_its_group_in_no_split(failures, manifest_of):
    assert failures(manifest_of({"a": 15, "b": 15}, group="a1", split="excluded")) == []


def test_a_class_with_too_few_images_is_named_with_their_number(failures, manifest_of):
    (failure,) = failures(manifest_of({"a": 12, "b": 9}))

    assert (failure.severity, failure.expectation) == ("critical", "Images of each class: at least 10")
    assert (failure.about, failure.offending) == ("classes", ("b",))
    assert failure.observed == "1 of 2 outside: b has 9"


def test_a_class_without_images_is_named(failures, manifest_of):
    found = {failure.title: failure.observed for failure in failures(manifest_of(), classes=["a", "b", "c"])}

    kinds = ("Images", "Training images", "Validation images", "Test images")
    assert found == dict.fromkeys((f"{kind} of each class" for kind in kinds), "1 of 3 outside: c has 0")


@pytest.mark.parametrize(
    ("split", "kind"), [("train", "Training"), ("validation", "Validation"), ("test", "Test")], ids=str
)
def test_a_class_that_is_missing_in_a_split_is_named(failures, manifest_of, split, kind):
    manifest = manifest_of({"a": 30, "b": 30})
    (failure,) = failures(manifest[(manifest["label"] == "a") | (manifest["split"] != split)])

    assert failure.title == f"{kind} images of each class"
    assert (failure.severity, failure.observed) == ("critical", "1 of 2 outside: b has 0")


def test_a_single_class_is_named(failures, manifest_of):
    (failure,) = failures(manifest_of({"a": 12}), validation={"max_class_share": 1})

    assert (failure.severity, failure.expectation) == ("critical", "Different labels: at least 2")
    assert failure.observed == "1: a"


@pytest.mark.parametrize(
    ("column", "value", "title"),
    [
        ("brightness", 0.4, "Brightness"),
        ("brightness", 254.0, "Brightness"),
        ("contrast", 0.5, "Contrast"),
        ("sharpness", 3.0, "Sharpness"),
    ],
    ids=["black", "white", "blank", "blurred"],
)
def test_odd_images_warn(failures, manifest_of, column, value, title):
    (failure,) = failures(manifest_of(**{column: value}))

    assert (failure.severity, failure.title, failure.offending) == ("warning", title, (FIRST,))


def test_a_few_odd_images_are_tolerated_and_still_named(check, manifest_of):
    results = {result.title: result for result in check(manifest_of({"a": 60, "b": 60}, sharpness=1.0))}

    assert (results["Sharpness"].status, results["Sharpness"].offending) == ("passed", (FIRST,))
    assert results["Sharpness"].required == "at least 10, in at least 99 % of the images"


@pytest.mark.parametrize(
    ("duplicates", "refused", "old", "title", "observed"),
    [
        (0, 8, False, "Quarantined, of what arrived now", "25 %, 8 of 32"),
        (30, 0, False, "There already, of what arrived now", "55.6 %, 30 of 54"),
        (0, 8, True, "Quarantined, of everything seen", "25 %, 8 of 32"),
    ],
    ids=["quarantined now", "duplicated now", "quarantined before"],
)
def test_large_shares_warn(failures, manifest_of, ledger_of, duplicates, refused, old, title, observed):
    manifest = manifest_of()
    ledger = ledger_of(manifest, duplicates, refused, OLD if old else NEW)
    found = {failure.title: failure for failure in failures(manifest, ledger=ledger)}

    assert (found[title].severity, found[title].observed) == ("warning", observed)
    assert ("Quarantined, of what arrived now" in found) is (title == "Quarantined, of what arrived now")


def test_a_large_share_in_no_split_warns(failures, manifest_of):
    manifest = manifest_of({"a": 30, "b": 30})
    manifest["split"] = manifest["split"].where(manifest.index >= 7, "excluded")
    (failure,) = failures(manifest)

    assert (failure.severity, failure.observed) == ("warning", "11.7 %, 7 of 60")


def test_one_class_with_nearly_all_images_warns(failures, manifest_of):
    (failure,) = failures(manifest_of({"a": 36, "b": 12}), validation={"max_class_share": 0.7})

    assert (failure.severity, failure.expectation) == ("warning", "Share of each class: at most 70 %")
    assert failure.observed == "1 of 2 outside: a has 75 %"


def test_shares_of_nothing_are_not_measured(check, manifest_of):
    results = {result.title: result for result in check(manifest_of(snapshot=OLD))}

    assert results["Quarantined, of what arrived now"].status == "not measured"
    assert results["Quarantined, of what arrived now"].observed == "not measured: nothing arrived"


def test_images_like_the_parents_are_no_drift(drifted):
    results = drifted()

    assert {result.status for result in results.values()} == {"passed"}
    assert set(results) == {"Labels", *PROPERTIES}
    assert results["Labels"].measure == "population stability index"
    assert results["Width"].measure == "Kolmogorov-Smirnov statistic"
    assert results["Labels"].observed == "0, 60 new images against 120"


@pytest.mark.parametrize("title", PROPERTIES)
def test_images_that_differ_in_a_property_warn(drifted, title):
    results = drifted({title.lower(): 90})

    assert results[title].severity == "warning"
    assert [name for name, result in results.items() if result.status == "failed"] == [title]


def test_labels_in_other_shares_warn(drifted):
    results = drifted(counts={"a": 58, "b": 2})

    assert [name for name, result in results.items() if result.status == "failed"] == ["Labels"]


def test_a_label_that_the_parent_lacks_warns(drifted):
    assert drifted(counts={"a": 20, "b": 20, "c": 20})["Labels"].status == "failed"


def test_drift_of_few_images_is_not_measured(drifted):
    results = drifted({"width": 90}, counts={"a": 10, "b": 9})

    assert {result.status for result in results.values()} == {"not measured"}
    assert results["Width"].observed == "not measured: 19 new images, at least 30"


def test_the_first_snapshot_has_nothing_to_drift_from(check, manifest_of):
    (drift,) = {result.observed for result in check(manifest_of()) if result.topic == "Drift"}

    assert drift == "not measured: the first snapshot has no parent"


def test_a_measure_of_the_caller_is_held_against_its_bounds(check, manifest_of):
    measures = [Measure(f"p_{value}", "Drift", f"p {value}", value, "noted", "p-value", low=0.01) for value in (0.5, 0)]
    results = {result.title: result for result in check(manifest_of(), measures=measures)}

    assert (results["p 0.5"].status, results["p 0"].status) == ("passed", "failed")
    assert (results["p 0"].required, results["p 0"].observed) == ("at least 0.01", "0, noted")


@pytest.mark.parametrize(
    ("limits", "title"),
    [
        ({"min_images_per_class": 13}, "Images of each class"),
        ({"min_train_images_per_class": 5}, "Training images of each class"),
        ({"min_validation_images_per_class": 5}, "Validation images of each class"),
        ({"min_test_images_per_class": 5}, "Test images of each class"),
        ({"max_class_share": 0.4}, "Share of each class"),
        ({"min_brightness": 100}, "Brightness"),
        ({"max_brightness": 40}, "Brightness"),
        ({"min_contrast": 25}, "Contrast"),
        ({"min_sharpness": 500}, "Sharpness"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_limits_come_from_the_settings(failures, manifest_of, limits, title):
    assert [failure.title for failure in failures(manifest_of(), validation=limits)] == [title]


@pytest.mark.parametrize(
    ("limits", "changes", "status"),
    [
        ({}, {"width": 90}, "failed"),
        ({"max_property_drift": 1}, {"width": 90}, "passed"),
        ({"min_arrived_images": 61}, {"width": 90}, "not measured"),
    ],
    ids=["by default", "max_property_drift", "min_arrived_images"],
)
def test_limits_of_drift_come_from_the_settings(drifted, limits, changes, status):
    assert drifted(changes, **limits)["Width"].status == status


def test_the_limit_of_label_drift_comes_from_the_settings(drifted):
    assert drifted(counts={"a": 58, "b": 2}, max_label_drift=5)["Labels"].status == "passed"


def test_the_tolerated_share_comes_from_the_settings(failures, manifest_of):
    assert failures(manifest_of(sharpness=1.0), validation={"tolerated_share": 0.05}) == []


def test_shares_of_objects_are_limited_by_the_settings(failures, manifest_of, ledger_of):
    manifest = manifest_of()
    limits = {"max_quarantined_share": 0.3, "max_duplicated_share": 0.6}

    assert failures(manifest, ledger=ledger_of(manifest, 30, 8), validation=limits) == []


def test_an_outcome_is_a_document(failures, manifest_of):
    (failure,) = failures(manifest_of({"a": 12, "b": 9}))

    assert failure.to_dict() == {
        "topic": "Classes and splits",
        "title": "Images of each class",
        "required": "at least 10",
        "observed": "1 of 2 outside: b has 9",
        "measure": "count",
        "severity": "critical",
        "status": "failed",
        "offending": ("b",),
        "offending_count": 1,
        "about": "classes",
    }


def test_great_expectations_writes_its_own_pages(manifest_of, ledger_of, tmp_path):
    manifest = manifest_of()
    check_snapshot(snapshot_of(manifest, ledger_of(manifest)), None, Settings(), docs=tmp_path)

    pages = {path.relative_to(tmp_path).parts[0] for path in tmp_path.rglob("*.html")}
    assert pages == {"index.html", "expectations", "validations"}
