from dataclasses import replace

import numpy as np
import pytest

from ml.errors import DataError
from serving.answer_checks import check_answers, check_broken, difference
from serving.signature_calls import Answer

LABELS = ("round", "square", "star")
EXPECTED = np.array([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6]], np.float32)


def text(*values):
    return np.array(values, dtype=object)


def answer(**changes):
    """What a right ``explain`` answers."""
    right = Answer(
        probabilities=EXPECTED.copy(),
        labels=text("round", "star"),
        status=text("OK", "OK"),
        class_ids=np.array([0, 2]),
        attention=np.full((2, 2, 2), 0.25, np.float32),
        milliseconds=np.array([3.0]),
    )
    return replace(right, **changes)


def test_largest_difference_is_found_by_signature():
    near = answer(probabilities=EXPECTED + np.float32([[0, 0, 0], [0, -0.02, 0.01]]))

    found = check_answers({"explain": answer(), "serving_default": near}, EXPECTED, LABELS, 0.03)

    assert found == {"explain": 0.0, "serving_default": pytest.approx(0.02, abs=1e-6)}


@pytest.mark.parametrize(
    "probabilities",
    [
        pytest.param(EXPECTED[::-1].copy(), id="of other images"),
        pytest.param(EXPECTED[:, :2].copy(), id="of fewer classes"),
        pytest.param(np.full_like(EXPECTED, np.nan), id="no numbers"),
    ],
)
def test_other_probabilities_are_refused(probabilities):
    with pytest.raises(DataError, match=r"differs from its evaluation by .* at explain, more than 0.1"):
        check_answers({"explain": answer(probabilities=probabilities)}, EXPECTED, LABELS, 0.1)


def test_nothing_is_as_far_away_as_no_number():
    assert difference(answer(probabilities=np.full_like(EXPECTED, np.nan)), EXPECTED) == np.inf


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"labels": text("star", "round")}, "has other labels", id="labels in another order"),
        pytest.param({"class_ids": np.array([0, 1])}, "not the most probable", id="another class"),
        pytest.param({"status": text("OK", "UNDECODABLE")}, "calls good images", id="not decoded"),
        pytest.param({"attention": np.zeros((2, 2, 2), np.float32)}, "sum to 0 to 0", id="no attention"),
    ],
)
def test_answers_that_contradict_themselves_are_refused(changes, message):
    with pytest.raises(DataError, match=message):
        check_answers({"explain": answer(**changes)}, EXPECTED, LABELS, 0.1)


def test_classification_names_every_label_of_every_image():
    rows = {"status": text(), "class_ids": np.empty(0, np.int64), "attention": None}
    right = answer(labels=np.array([LABELS, LABELS], object), **rows)
    wrong = answer(labels=np.array([LABELS, LABELS[::-1]], object), **rows)

    assert check_answers({"classify": right}, EXPECTED, LABELS, 0.1) == {"classify": 0.0}
    with pytest.raises(DataError, match="has other labels"):
        check_answers({"classify": wrong}, EXPECTED, LABELS, 0.1)


def broken_answer(**changes):
    probabilities = EXPECTED.copy()
    probabilities[1] = 0
    return answer(**{"probabilities": probabilities, "status": text("OK", "UNDECODABLE")} | changes)


def test_broken_image_is_to_be_called_undecodable_and_the_good_one_answered():
    check_broken(broken_answer(), EXPECTED[0], 0.1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"status": text("OK", "OK")}, "calls a good and a broken image", id="called decoded"),
        pytest.param({"probabilities": EXPECTED}, "calls a good and a broken image", id="given probabilities"),
        pytest.param({"probabilities": np.zeros_like(EXPECTED)}, "when a broken one is sent along", id="both lost"),
    ],
)
def test_other_answers_to_a_broken_image_are_refused(changes, message):
    with pytest.raises(DataError, match=message):
        check_broken(broken_answer(**changes), EXPECTED[0], 0.1)
