import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    confusion_matrix,
    f1_score,
    precision_recall_fscore_support,
    roc_auc_score,
)

from ml.metrics import (
    BINS,
    align_probabilities,
    calibration_bins,
    calibration_error,
    classification_metrics,
    ranking,
)

CLASSES = ("a", "b", "c")
SCIKIT_LEARN = settings(max_examples=40, deadline=None)


@st.composite
def answered(draw):
    """Labels, probabilities with many ties, and weights in whole numbers, for a few images of two to four classes."""
    classes, images = draw(st.integers(2, 4)), draw(st.integers(1, 30))

    def numbers(highest, count):
        return np.array(draw(st.lists(st.integers(0, highest), min_size=count, max_size=count)))

    scores = numbers(4, images * classes).reshape(images, classes) + 1
    weights = numbers(3, images).astype(float)
    weights[draw(st.integers(0, images - 1))] += 1
    return numbers(classes - 1, images), scores / scores.sum(axis=1, keepdims=True), weights


def calibration_by_loop(labels, probabilities, weights):
    """Image by image, bin by bin."""
    total = 0.0
    for number in range(BINS):
        confidence = hits = 0.0
        for label, row, weight in zip(labels, probabilities, weights, strict=True):
            if min(int(max(row) * BINS), BINS - 1) == number:
                confidence += weight * max(row)
                hits += weight * (list(row).index(max(row)) == label)
        total += abs(confidence - hits)
    return total / sum(weights)


def one_hot(predicted):
    return np.eye(len(CLASSES), dtype=np.float32)[predicted]


@pytest.fixture
def measured():
    """Truth a a a b b c against a a b b b a: class c is never predicted."""
    return classification_metrics(np.array([0, 0, 0, 1, 1, 2]), one_hot([0, 0, 1, 1, 1, 0]), CLASSES)


def test_report_has_each_class_by_hand(measured):
    expected = [
        {"label": "a", "precision": 2 / 3, "recall": 2 / 3, "f1": 2 / 3, "support": 3},
        {"label": "b", "precision": 2 / 3, "recall": 1.0, "f1": 0.8, "support": 2},
        {"label": "c", "precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 1},
    ]

    keys = expected[0].keys()
    assert [{key: row[key] for key in keys} for row in measured["report"]] == [pytest.approx(row) for row in expected]


def test_averages_count_the_class_that_nobody_predicted(measured):
    assert measured["accuracy"] == pytest.approx(4 / 6)
    assert measured["macro_f1"] == pytest.approx((2 / 3 + 0.8 + 0) / 3)
    assert measured["weighted_f1"] == pytest.approx((3 * 2 / 3 + 2 * 0.8 + 0) / 6)
    assert measured["images"] == 6


@SCIKIT_LEARN
@given(answered())
def test_every_figure_is_that_of_scikit_learn(case):
    labels, probabilities, _ = case
    predicted, indices = probabilities.argmax(axis=1), list(range(probabilities.shape[1]))

    found = classification_metrics(labels, probabilities, tuple("abcd"[: len(indices)]))

    averages = {
        "accuracy": accuracy_score(labels, predicted),
        **{
            f"{one}_f1": f1_score(labels, predicted, labels=indices, average=one, zero_division=0)
            for one in ("macro", "weighted")
        },
    }
    assert {name: found[name] for name in averages} == pytest.approx(averages, abs=1e-9)
    assert found["confusion"] == confusion_matrix(labels, predicted, labels=indices).tolist()
    columns = precision_recall_fscore_support(labels, predicted, labels=indices, zero_division=0)
    for name, expected in zip(("precision", "recall", "f1", "support"), columns, strict=True):
        assert [row[name] for row in found["report"]] == pytest.approx(expected, abs=1e-9)
    for index, row in enumerate(found["report"]):
        of_it, scores = labels == index, probabilities[:, index]
        known = 0 < of_it.sum() < len(labels)
        expected = (roc_auc_score(of_it, scores), average_precision_score(of_it, scores)) if known else (None, None)
        assert (row["roc_auc"], row["average_precision"]) == pytest.approx(expected, abs=1e-9)


def test_rows_of_the_confusion_matrix_are_the_truth(measured):
    assert measured["confusion"] == [[2, 1, 0], [0, 2, 0], [1, 0, 0]]


def test_class_without_test_images_is_in_the_report_all_the_same():
    measured = classification_metrics(np.array([0, 1]), one_hot([0, 1]), CLASSES)

    nothing = dict.fromkeys(("precision", "recall", "f1", "support"), 0) | {"roc_auc": None, "average_precision": None}
    assert measured["report"][2] == {"label": "c"} | nothing
    assert measured["macro_f1"] == pytest.approx(2 / 3)


def test_columns_move_to_the_classes_of_today():
    old = np.array([[0.5, 0.3, 0.2]], np.float32)

    aligned = align_probabilities(old, ("gone", "a", "b"), ("b", "a", "new"))

    np.testing.assert_allclose(aligned, [[0.2, 0.3, 0.0, 0.5]])


def test_same_classes_keep_their_probabilities():
    old = np.array([[0.5, 0.3, 0.2]], np.float32)

    np.testing.assert_array_equal(align_probabilities(old, CLASSES, CLASSES)[:, :3], old)


@pytest.mark.parametrize(
    ("confidence", "predicted", "error"),
    [(0.8, [0, 0, 0, 0, 1], 0.0), (0.8, [0, 0, 0, 0, 0], 0.2), (1.0, [1, 1, 1, 1, 1], 1.0)],
    ids=["as-sure-as-right", "too-modest", "sure-and-wrong"],
)
def test_calibration_error_is_the_distance_of_confidence_and_accuracy(confidence, predicted, error):
    probabilities = one_hot(predicted) * confidence + (1 - one_hot(predicted)) * (1 - confidence) / 2

    found = classification_metrics(np.zeros(5, dtype=int), probabilities, CLASSES)["calibration_error"]

    assert found == pytest.approx(error, abs=1e-6)


def test_calibration_error_is_averaged_over_bins_by_their_images():
    """Three images at 0.9, of which two are right, and one at 0.5 that is wrong: (3 x 0.2333 + 1 x 0.5) / 4."""
    probabilities = np.array([[0.9, 0.1, 0], [0.9, 0.1, 0], [0.9, 0.1, 0], [0.5, 0.4, 0.1]])

    found = classification_metrics(np.array([0, 0, 1, 1]), probabilities, CLASSES)["calibration_error"]

    assert found == pytest.approx((abs(2.7 - 2) + 0.5) / 4)


@SCIKIT_LEARN
@given(answered())
def test_calibration_error_is_that_of_a_plain_loop(case):
    labels, probabilities, weights = case
    bins = calibration_bins(labels, probabilities)

    found = calibration_error(np.stack([bins.sum(axis=0), weights @ bins]), np.array([len(labels), weights.sum()]))

    expected = [calibration_by_loop(labels, probabilities, row) for row in (np.ones(len(labels)), weights)]
    np.testing.assert_allclose(found, expected, atol=1e-9)


@SCIKIT_LEARN
@given(answered())
def test_ranking_with_weights_is_that_of_scikit_learn(case):
    """Scores with many ties; weights as whole numbers, some of them 0."""
    labels, probabilities, weights = case
    positive, scores = labels == 0, probabilities[:, 0]

    (found,) = ranking(positive, scores)(weights[None])

    expected = (np.nan, np.nan)
    if 0 < weights[positive].sum() < weights.sum():
        expected = (
            roc_auc_score(positive, scores, sample_weight=weights),
            average_precision_score(positive, scores, sample_weight=weights),
        )
    np.testing.assert_allclose(found, expected, atol=1e-9)


@pytest.mark.parametrize("label", [0, 1], ids=["none-is", "all-are"])
def test_ranking_of_one_kind_of_images_means_nothing(label):
    report = classification_metrics(np.full(4, label), one_hot([0, 0, 1, 2]), CLASSES)["report"]

    assert [report[1]["roc_auc"], report[1]["average_precision"]] == [None, None]
