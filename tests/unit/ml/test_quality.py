from __future__ import annotations

import hashlib

import pandas as pd
import pytest

from ml.config import Settings
from ml.quality import check_manifest

# Great Expectations takes about ten seconds to import.
pytestmark = pytest.mark.slow

CLASSES = ("a", "b")
FIRST = hashlib.sha256(b"a0").hexdigest()


@pytest.fixture
def manifest_of():
    """A sound manifest with so many images of each class, in which columns of the first row are changed."""

    def made(counts=None, **first):
        rows = [
            {
                "image_id": hashlib.sha256(f"{label}{number}".encode()).hexdigest(),
                "uri": f"images/{label}{number}",
                "label": label,
                "group": f"{label}{number}",
                "split": ("train", "validation", "test")[number % 3],
                "width": 40,
                "height": 40,
                "bytes": 100,
                "contrast": 20.0,
            }
            for label, count in (counts or {"a": 12, "b": 12}).items()
            for number in range(count)
        ]
        return pd.DataFrame([rows[0] | first, *rows[1:]])

    return made


@pytest.fixture
def failures():
    """The expectations that are not met."""

    def run(manifest, classes=CLASSES, share=0.0, **limits):
        settings = Settings.model_validate({"validation": limits})
        return [result for result in check_manifest(manifest, classes, share, settings) if not result.passed]

    return run


def test_a_sound_manifest_meets_every_expectation(manifest_of):
    results = check_manifest(manifest_of(), CLASSES, 0.0, Settings())

    assert [result for result in results if not result.passed] == []
    assert {result.severity for result in results} == {"critical", "warning"}
    assert len(results) == 20


@pytest.mark.parametrize(
    ("column", "value", "asked"),
    [
        ("image_id", "ab", "matches ^"),
        ("image_id", hashlib.sha256(b"a1").hexdigest(), "unique"),
        ("uri", None, "is present"),
        ("group", None, "is present"),
        ("split", "held out", "is one of train, validation, test"),
        ("label", "c", "is one of a, b"),
        ("width", 31, "width at least 32"),
        ("height", 31, "height at least 32"),
        ("bytes", 0, "bytes from 1 to"),
        ("bytes", 2**30, "to 67108864"),
    ],
)
def test_one_bad_value_fails_its_critical_expectation(manifest_of, failures, column, value, asked):
    (failure,) = failures(manifest_of(**{column: value}))

    assert failure.severity == "critical"
    assert failure.expectation.startswith(f"{column} ")
    assert asked in failure.expectation


def test_the_images_that_do_not_meet_an_expectation_are_named(manifest_of, failures):
    (failure,) = failures(manifest_of(width=3))

    assert failure.offending == (FIRST,)
    assert failure.observed == f"1 of 24 outside: {FIRST} has 3"


def test_at_most_twenty_images_are_named(manifest_of, failures):
    (failure,) = failures(manifest_of({"a": 15, "b": 15}).assign(contrast=0.5))

    assert failure.observed.startswith("30 of 30 outside: ")
    assert len(failure.offending) == 20


def test_a_class_with_too_few_images_is_named_with_their_number(manifest_of, failures):
    (failure,) = failures(manifest_of({"a": 12, "b": 9}))

    assert (failure.severity, failure.observed, failure.offending) == ("critical", "1 of 2 outside: b has 9", ("b",))
    assert failure.expectation.startswith("images ")


def test_a_class_without_images_is_named(manifest_of, failures):
    found = {failure.expectation.split()[0]: failure.observed for failure in failures(manifest_of(), ("a", "b", "c"))}

    assert found == dict.fromkeys(("images", "train", "validation", "test"), "1 of 3 outside: c has 0")


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_a_class_that_is_missing_in_a_split_is_named(manifest_of, failures, split):
    manifest = manifest_of({"a": 30, "b": 30})
    manifest = manifest[(manifest["label"] == "a") | (manifest["split"] != split)]
    (failure,) = failures(manifest)

    assert failure.expectation.startswith(f"{split} ")
    assert (failure.severity, failure.observed) == ("critical", "1 of 2 outside: b has 0")


def test_a_single_class_is_named(manifest_of, failures):
    (failure,) = failures(manifest_of({"a": 12}), ("a",), max_class_share=1)

    assert (failure.severity, failure.observed) == ("critical", "1: a")
    assert failure.expectation == "different values of label: at least 2"


@pytest.mark.parametrize(
    ("counts", "share", "limits", "expectation", "observed"),
    [
        ({"a": 12, "b": 12}, 0.25, {}, "quarantined_share ", "2 of 2 outside: a has 0.25"),
        ({"a": 36, "b": 12}, 0.0, {"max_class_share": 0.7}, "share ", "1 of 2 outside: a has 0.75"),
        ({"a": 12, "b": 12}, 0.0, {"min_contrast": 25}, "contrast ", "24 of 24 outside: "),
    ],
    ids=["quarantine", "share", "contrast"],
)
def test_what_only_warns(manifest_of, failures, counts, share, limits, expectation, observed):
    (failure,) = failures(manifest_of(counts), share=share, **limits)

    assert failure.severity == "warning"
    assert failure.expectation.startswith(expectation)
    assert failure.observed.startswith(observed)


def test_limits_come_from_the_settings(manifest_of, failures):
    assert failures(manifest_of({"a": 5, "b": 5}), min_images_per_class=5) == []
    assert [failure.observed for failure in failures(manifest_of(), min_test_images_per_class=5)] == [
        "2 of 2 outside: a has 4, b has 4"
    ]


def test_what_failed_comes_first_and_what_is_critical_before_what_warns(manifest_of):
    results = check_manifest(manifest_of({"a": 5, "b": 12}, contrast=0.1), CLASSES, 0.0, Settings())

    assert [(result.passed, result.severity) for result in results[:3]] == [
        (False, "critical"),
        (False, "warning"),
        (True, "critical"),
    ]


def test_an_outcome_is_a_document(manifest_of, failures):
    (failure,) = failures(manifest_of({"a": 12, "b": 9}))

    assert failure.to_dict() == {
        "expectation": "images at least 10",
        "severity": "critical",
        "passed": False,
        "observed": "1 of 2 outside: b has 9",
        "offending": ("b",),
    }
