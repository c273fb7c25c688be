from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ml.slices import measure_slices, slice_values


def manifest(**columns: object) -> pd.DataFrame:
    plain = {
        "image_id": [f"i{number}" for number in range(6)],
        "source_key": ["landing/a/site1/0.png"] * 3 + ["landing/a/site2/0.png"] * 2 + ["landing/x.png"],
        "label": ["a"] * 6,
        "brightness": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
        "sharpness": [7.0] * 6,
        "width": [100] * 6,
        "height": [100, 100, 100, 400, 400, 400],
        "format": ["PNG"] * 6,
    }
    return pd.DataFrame(plain | columns)


NONE = pd.DataFrame()


def test_images_are_told_apart_by_folder_thirds_and_format():
    values = slice_values(manifest(), NONE, {})

    assert values["folder"].tolist() == ["a/site1"] * 3 + ["a/site2"] * 2 + ["(no folder)"]
    assert values["brightness"].tolist() == ["1 to 2"] * 2 + ["3 to 4"] * 2 + ["5 to 6"] * 2
    assert values["sharpness"].tolist() == ["7"] * 6
    assert values["size"].tolist() == ["100 px"] * 3 + ["200 px"] * 3


def test_subfolder_is_what_lies_below_the_label_or_its_alias():
    keys = ["a/s/1.png", "a/1.png", "no_tumour/s/t/1.png", "site/1.png", "1.png", "a/s/2.png"]
    images = manifest(source_key=[f"landing/{key}" for key in keys], label=["a", "a", "none", "a", "a", "b"])

    values = slice_values(images, NONE, {"no_tumour": "none"})

    assert values["subfolder"].tolist() == ["s", "(none)", "s/t", "site", "(no folder)", "a/s"]


def test_further_columns_are_taken_and_what_is_not_known_stays_unknown():
    further = pd.DataFrame({"site": ["north", None], "format": ["film", "film"]}, index=["i1", "i2"])

    values = slice_values(manifest(), further, {})

    assert values["site"].isna().tolist() == [True, False, True, True, True, True]
    assert values["site"][1] == "north"
    assert values["format (labels.csv)"][2] == "film"
    assert values["format"][2] == "PNG"


@pytest.mark.parametrize("low", [1, 3, 5])
def test_equal_measures_stay_together(low):
    values = slice_values(manifest(brightness=[1.0] * low + [9.0] * (6 - low)), NONE, {})

    assert values["brightness"].tolist() == ["1"] * low + ["9"] * (6 - low)


def test_measures_that_look_alike_are_still_told_apart():
    values = slice_values(manifest(brightness=[100.01, 100.02, 100.03, 100.04, 100.05, 100.06]), NONE, {})

    assert values["brightness"].nunique() == 3


@pytest.fixture
def measured():
    """Twelve images of six groups; north gets 2 of 8 wrong, south 3 of 4, and nobody knows where two are from."""
    site = ["north"] * 8 + ["south"] * 4 + [None] * 2
    right = np.array([True] * 6 + [False] * 2 + [True] + [False] * 3 + [True] * 2)
    patient = [f"p{number // 2}" for number in range(14)]
    each = [f"v{number:02d}" for number in range(14)]
    values = pd.DataFrame({"site": site, "alike": "x", "patient": patient, "each": each})
    groups = [f"g{number // 2}" for number in range(14)]
    return measure_slices(values.astype("string"), right, groups, 2)


def attribute(measured, name):
    return next(one for one in measured["attributes"] if one["name"] == name)


def test_accuracy_of_each_slice_the_worst_first(measured):
    rows = attribute(measured, "site")["slices"]

    assert [(row["value"], row["images"], row["groups"], row["accuracy"]) for row in rows] == [
        ("south", 4, 2, pytest.approx(1 / 4)),
        ("north", 8, 4, pytest.approx(6 / 8)),
    ]


def test_worst_slice_is_named(measured):
    assert (measured["worst"]["attribute"], measured["worst"]["value"]) == ("site", "south")


def test_interval_is_that_of_the_groups_of_the_slice(measured):
    """Of the south's two groups one has an image right: which of them are drawn, and how often, decides the share."""
    low, high = attribute(measured, "site")["slices"][0]["interval"]

    assert (low, high) == (0, 0.5)


def test_slice_that_is_too_small_is_counted_and_not_named(measured):
    assert attribute(measured, "each")["slices"] == []
    assert attribute(measured, "each")["small"] == {"values": 14, "images": 14}


def test_slice_of_one_group_is_too_small_however_many_images_it_has(measured):
    """All samples of one group are alike, which would look like certainty."""
    assert attribute(measured, "patient")["slices"] == []
    assert attribute(measured, "patient")["small"] == {"values": 7, "images": 14}


def test_attribute_that_is_the_same_everywhere_is_left_out(measured):
    assert [one["name"] for one in measured["attributes"]] == ["site", "patient", "each"]


def test_there_is_no_worst_where_every_slice_is_too_small():
    values = pd.DataFrame({"site": ["a", "b"]}, dtype="string")

    assert measure_slices(values, np.array([True, False]), ["g", "h"], 2)["worst"] is None
