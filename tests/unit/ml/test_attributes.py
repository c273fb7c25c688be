"""What becomes of what is told of attributes, in tables without images."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

from ml.attributes import (
    IMAGE,
    KEY,
    attributes_to_arrow,
    decode_attributes,
    describe_disputed,
    differences,
    encode_attributes,
    no_attributes,
    same_attributes,
    settle_attributes,
)

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def ledger(*rows):
    """Of (key, image, pixels, reason, days) rows."""
    table = pd.DataFrame(rows, columns=["source_key", "image_id", "pixel_id", "reason", "days"])
    texts = table.drop(columns="days").astype("str")
    return texts.assign(etag=table["image_id"].astype("str"), ingested_at=[NOW + timedelta(n) for n in table["days"]])


def manifest(**pixels):
    return pd.DataFrame({"image_id": list(pixels), "pixel_id": list(pixels.values())}, dtype="str")


def table(index, names, rows):
    """Of (name, value, ...) rows."""
    ids = pd.Index([row[0] for row in rows], name=index, dtype="str")
    return pd.DataFrame([row[1:] for row in rows], columns=list(names), index=ids, dtype="str")


def told(*rows, names=("site",)):
    return table(KEY, names, rows)


def known(*rows, names=("site",)):
    return table(IMAGE, names, rows)


def values(settled):
    return {
        name: {image: value for image, value in settled[name].items() if not pd.isna(value)} for name in settled.columns
    }


OBJECTS = ledger(("k1", "i1", "p1", None, 0), ("k2", "i2", "p2", None, 0))
IMAGES = manifest(i1="p1", i2="p2")


def test_images_have_what_their_keys_are_told_and_others_no_row():
    settled, disputed = settle_attributes(
        IMAGES, OBJECTS, told(("k2", "Ulm"), ("k9", "Bonn")), no_attributes(), ["site"]
    )

    assert settled.reset_index().to_dict("list") == {"image_id": ["i2"], "site": ["Ulm"]}
    assert disputed == {}


def test_what_is_told_of_nobody_knows_anything():
    settled, _ = settle_attributes(IMAGES, OBJECTS, None, no_attributes(), ["site"])

    assert settled.empty
    assert list(settled) == ["site"]


def test_what_was_known_stays_where_nothing_else_is_told():
    before = known(("i1", "Ulm", "f"), ("i2", "Ulm", "m"), names=("site", "sex"))
    settled, _ = settle_attributes(IMAGES, OBJECTS, told(("k2", "Bonn")), before, ["site", "sex"])

    assert values(settled) == {"site": {"i1": "Ulm", "i2": "Bonn"}, "sex": {"i1": "f", "i2": "m"}}


def test_an_empty_value_takes_back_what_was_known():
    settled, _ = settle_attributes(IMAGES, OBJECTS, told(("k1", "")), known(("i1", "Ulm"), ("i2", "Ulm")), ["site"])

    assert values(settled) == {"site": {"i2": "Ulm"}}


def test_an_attribute_that_is_not_to_be_kept_is_not():
    before = known(("i1", "Ulm", "f"), names=("site", "sex"))
    settled, _ = settle_attributes(IMAGES, OBJECTS, None, before, ["sex"])

    assert values(settled) == {"sex": {"i1": "f"}}


def test_keys_of_one_picture_that_are_told_different_things_make_it_unknown():
    objects = ledger(("k1", "i1", "p1", None, 0), ("k2", "i2", "p1", None, 0), ("k3", "i3", "p3", None, 0))
    says = told(("k1", "Ulm", "f"), ("k2", "Bonn", "f"), ("k3", "Ulm", "m"), names=("site", "sex"))
    settled, disputed = settle_attributes(
        manifest(i1="p1", i3="p3"), objects, says, known(("i1", "Jena")), ["site", "sex"]
    )

    assert values(settled) == {"site": {"i3": "Ulm"}, "sex": {"i1": "f", "i3": "m"}}
    assert disputed == {"site": 1}
    assert describe_disputed(disputed) == [
        "labels.csv says different things of site for 1 image(s), of which it stays unknown"
    ]


@pytest.mark.parametrize(
    ("second", "expected"), [("Ulm", "Ulm"), ("", "Ulm"), ("Bonn", None)], ids=["the same", "empty", "another"]
)
def test_a_key_that_is_told_of_twice_counts_as_two(second, expected):
    settled, disputed = settle_attributes(
        IMAGES, OBJECTS, told(("k1", "Ulm"), ("k1", second)), no_attributes(), ["site"]
    )

    assert values(settled)["site"].get("i1") == expected
    assert disputed == ({} if expected else {"site": 1})


def test_a_key_speaks_for_the_version_that_came_last():
    objects = ledger(("k1", "new", "p2", None, 1), ("k1", "old", "p1", None, 0))
    settled, _ = settle_attributes(
        manifest(old="p1", new="p2"), objects, told(("k1", "Bonn")), known(("old", "Ulm")), ["site"]
    )

    assert values(settled) == {"site": {"new": "Bonn", "old": "Ulm"}}


def test_a_key_whose_last_version_was_refused_speaks_for_none():
    objects = ledger(("k1", "old", "p1", None, 0), ("k1", "junk", None, "not_an_image", 1))
    settled, _ = settle_attributes(manifest(old="p1"), objects, told(("k1", "Bonn")), no_attributes(), ["site"])

    assert settled.empty


def test_a_picture_keeps_what_is_known_when_another_of_its_files_stands_for_it():
    objects = ledger(("k1", "i1", "p1", "label_conflict", 0), ("k2", "i2", "p1", None, 1))
    settled, _ = settle_attributes(manifest(i2="p1"), objects, None, known(("i1", "Ulm")), ["site"])

    assert values(settled) == {"site": {"i2": "Ulm"}}


def test_what_is_known_of_images_that_are_gone_goes():
    objects = ledger(("k1", "i1", "p1", "forgotten", 0), ("k2", "i2", "p2", None, 0))
    settled, _ = settle_attributes(
        manifest(i2="p2"), objects, told(("k1", "Ulm"), ("k2", "Ulm")), known(("i1", "Ulm")), ["site"]
    )

    assert values(settled) == {"site": {"i2": "Ulm"}}


def test_settling_again_changes_nothing():
    says = told(("k1", "Ulm"), ("k2", ""))
    once, _ = settle_attributes(IMAGES, OBJECTS, says, known(("i2", "Bonn")), ["site"])
    twice, _ = settle_attributes(IMAGES, OBJECTS, says, once, ["site"])

    pd.testing.assert_frame_equal(once, twice)


def test_differences_are_what_somebody_would_have_to_be_told():
    own = known(("i1", "Ulm", "f"), ("i2", None, "m"), ("i4", "Ulm", "f"), names=("site", "sex"))
    base = known(("i1", "Bonn", "f"), ("i2", "Bonn", "m"), ("i3", "Jena", None), ("i4", "Ulm", "f"), names=own.columns)
    told_again = differences(own, base)

    assert values(told_again) == {"site": {"i1": "Ulm", "i2": "", "i3": ""}, "sex": {}}
    settled, _ = settle_attributes(
        manifest(**dict.fromkeys(["i1", "i2", "i3", "i4"])), ledger(), None, base, own.columns
    )
    assert settled.empty


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (known(("i1", "f", "Ulm"), ("i2", "m", None), names=("sex", "site")), True),
        (known(("i1", "f", "Bonn"), names=("sex", "site")), False),
        (no_attributes(), False),
    ],
    ids=["other columns", "other value", "nothing"],
)
def test_tables_are_compared_by_the_attributes_that_count(other, same):
    assert same_attributes(known(("i1", "Ulm")), other, ["site"]) is same


def test_nothing_known_is_the_same_whatever_the_columns():
    assert same_attributes(known(("i1", None)), no_attributes(), ["site", "sex"])


@pytest.mark.parametrize(
    "written",
    [known(("i1", "Ulm", None), ("i2", None, "m"), names=("site", "sex")), told(("k1", ""), ("k1", "ü,\"'")), known()],
    ids=["known", "told", "no rows"],
)
def test_a_table_comes_back_as_it_was_encoded(written):
    pd.testing.assert_frame_equal(decode_attributes(encode_attributes(written)), written)


def test_a_table_has_columns_of_text():
    assert attributes_to_arrow(known(("i1", None))).schema.to_string() == "image_id: string\nsite: string"
