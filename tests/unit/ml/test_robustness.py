from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score

from ml.changes import CHANGES
from ml.robustness import measure_changes

LABELS = np.arange(40) % 2
IMAGES = pd.DataFrame({"label": LABELS, "group": [f"g{number // 2}" for number in range(40)]})


def answers(wrong):
    """Sure answers of which the first so many are wrong."""
    predicted = LABELS.copy()
    predicted[:wrong] = 1 - predicted[:wrong]
    return np.eye(2)[predicted] * 0.8 + 0.1


@pytest.fixture(scope="module")
def measured():
    changed = {"blur-2": answers(12), "shift-2": answers(5), "jpeg-90": answers(4)}
    return measure_changes(IMAGES, answers(4), changed, ("a", "b"), 0.99)


def row(measured, name):
    return next(one for one in measured["changes"] if one["name"] == name)


def test_figures_of_a_change_are_those_of_its_answers(measured):
    blurred = row(measured, "blur-2")

    assert blurred["macro_f1"] == pytest.approx(f1_score(LABELS, answers(12).argmax(axis=1), average="macro"))
    assert blurred["accuracy"] == pytest.approx(28 / 40)
    assert blurred["difference"] == pytest.approx(blurred["macro_f1"] - measured["clean"]["macro_f1"])
    low, high = blurred["difference_interval"]
    assert low < blurred["difference"] < high < 0


def test_share_of_answers_that_stay(measured):
    assert row(measured, "blur-2")["unmoved"] == pytest.approx(32 / 40)
    assert row(measured, "jpeg-90")["unmoved"] == 1


def test_only_a_change_of_no_meaning_passes_or_fails(measured):
    assert row(measured, "blur-2")["passed"] is None
    assert row(measured, "shift-2")["passed"] is False
    assert row(measured, "jpeg-90")["passed"] is True


def test_changes_have_their_titles_and_kinds(measured):
    for one in measured["changes"]:
        assert (one["title"], one["kind"]) == (CHANGES[one["name"]].title, CHANGES[one["name"]].kind)


def test_images_of_one_group_have_no_intervals():
    found = measure_changes(IMAGES.assign(group="g"), answers(4), {"jpeg-90": answers(4)}, ("a", "b"), 0.9)

    assert found["changes"][0]["unmoved_interval"] is None
    assert found["clean"]["intervals"]["macro_f1"] is None
