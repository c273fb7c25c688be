from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ml.slices import measure_slices, slice_values


def manifest(**columns: object) -> pd.DataFrame:
    plain = {
        "image_id": [f"i{number}" for number in range(6)],
        "source_key": ["landing/a/site1/0.png"] * 3 + ["landing/a/site2/0.png"] * 2 + ["landing/x.png"],
        "group": ["g"] * 6,
        "brightness": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
        "sharpness": [7.0] * 6,
        "width": [100] * 6,
        "height": [100, 100, 100, 400, 400, 400],
        "format": ["PNG"] * 6,
    }
    return pd.DataFrame(plain | columns)


def test_images_are_told_apart_by_folder_group_thirds_and_format():
    values = slice_values(manifest(), pd.DataFrame())

    assert values["folder"].tolist() == ["a/site1"] * 3 + ["a/site2"] * 2 + ["(no folder)"]
    assert values["brightness"].tolist() == ["1 to 2"] * 2 + ["3 to 4"] * 2 + ["5 to 6"] * 2
    assert values["sharpness"].tolist() == ["7"] * 6
    assert values["size"].tolist() == ["100 px"] * 3 + ["200 px"] * 3


def test_further_columns_are_taken_and_what_is_not_known_stays_unknown():
    further = pd.DataFrame({"site": ["north", None], "format": ["film", "film"]}, index=["i1", "i2"])

    values = slice_values(manifest(), further)

    assert values["site"].isna().tolist() == [True, False, True, True, True, True]
    assert values["site"][1] == "north"
    assert values["format (labels.csv)"][2] == "film"
    assert values["format"][2] == "PNG"


@pytest.fixture
def measured():
    """Twelve images of six groups; north gets 2 of 8 wrong, south 3 of 4, and nobody knows where two are from."""
    site = ["north"] * 8 + ["south"] * 4 + [None] * 2
    right = np.array([True] * 6 + [False] * 2 + [True] + [False] * 3 + [True] * 2)
    values = pd.DataFrame({"site": site, "alike": "x", "each": [f"v{number:02d}" for number in range(14)]})
    groups = [f"g{number // 2}" for number in range(14)]
    return measure_slices(values.astype("string"), right, groups, 4)


def attribute(measured, name):
    return next(one for one in measured["attributes"] if one["name"] == name)


def test_accuracy_of_each_slice_the_worst_first(measured):
    rows = attribute(measured, "site")["slices"]

    assert [(row["value"], row["images"], row["accuracy"]) for row in rows] == [
        ("south", 4, pytest.approx(1 / 4)),
        ("north", 8, pytest.approx(6 / 8)),
    ]


def test_worst_slice_is_named(measured):
    assert (measured["worst"]["attribute"], measured["worst"]["value"]) == ("site", "south")


def test_interval_is_that_of_the_groups_of_the_slice(measured):
    """North's four groups are right, right, right and wrong in both images: resampled, it is binomial over quarters."""
    low, high = attribute(measured, "site")["slices"][1]["interval"]

    assert low in {0.0, 0.25, 0.5}
    assert low < 0.75
    assert high == 1


def test_slice_that_is_too_small_has_no_figure(measured):
    each = attribute(measured, "each")

    assert len(each["slices"]) == 6
    assert all(row["accuracy"] is None and row["images"] == 1 for row in each["slices"])
    assert each["unlisted"] == {"values": 8, "images": 8}


def test_attribute_that_is_the_same_everywhere_is_left_out(measured):
    assert [one["name"] for one in measured["attributes"]] == ["site", "each"]


def test_there_is_no_worst_where_every_slice_is_too_small():
    values = pd.DataFrame({"site": ["a", "b"]}, dtype="string")

    assert measure_slices(values, np.array([True, False]), ["g", "h"], 2)["worst"] is None


def test_one_group_gives_no_interval():
    values = pd.DataFrame({"site": ["a", "a", "b", "b"]}, dtype="string")

    worst = measure_slices(values, np.array([True, False, True, True]), ["g"] * 4, 2)["worst"]

    assert (worst["accuracy"], worst["interval"]) == (0.5, None)


@pytest.mark.parametrize("low", [1, 3, 5])
def test_equal_measures_stay_together(low):
    values = slice_values(manifest(brightness=[1.0] * low + [9.0] * (6 - low)), pd.DataFrame())

    assert values["brightness"].tolist() == ["1"] * low + ["9"] * (6 - low)
