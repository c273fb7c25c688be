import numpy as np
import pytest

from ml.metrics import align_probabilities, classification_metrics

CLASSES = ("a", "b", "c")


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

    assert measured["report"] == [pytest.approx(row) for row in expected]


def test_averages_count_the_class_that_nobody_predicted(measured):
    assert measured["accuracy"] == pytest.approx(4 / 6)
    assert measured["macro_f1"] == pytest.approx((2 / 3 + 0.8 + 0) / 3)
    assert measured["weighted_f1"] == pytest.approx((3 * 2 / 3 + 2 * 0.8 + 0) / 6)
    assert measured["images"] == 6


def test_rows_of_the_confusion_matrix_are_the_truth(measured):
    assert measured["confusion"] == [[2, 1, 0], [0, 2, 0], [1, 0, 0]]


def test_class_without_test_images_is_in_the_report_all_the_same():
    measured = classification_metrics(np.array([0, 1]), one_hot([0, 1]), CLASSES)

    assert measured["report"][2] == {"label": "c", "precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 0}
    assert measured["macro_f1"] == pytest.approx(2 / 3)


def test_columns_move_to_the_classes_of_today():
    old = np.array([[0.5, 0.3, 0.2]], np.float32)

    aligned = align_probabilities(old, ("gone", "a", "b"), ("b", "a", "new"))

    np.testing.assert_allclose(aligned, [[0.2, 0.3, 0.0, 0.5]])


def test_same_classes_keep_their_probabilities():
    old = np.array([[0.5, 0.3, 0.2]], np.float32)

    np.testing.assert_array_equal(align_probabilities(old, CLASSES, CLASSES)[:, :3], old)
