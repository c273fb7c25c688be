import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from ml.metrics import align_probabilities, classification_metrics, ranking

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

    keys = expected[0].keys()
    assert [{key: row[key] for key in keys} for row in measured["report"]] == [pytest.approx(row) for row in expected]


def test_averages_count_the_class_that_nobody_predicted(measured):
    assert measured["accuracy"] == pytest.approx(4 / 6)
    assert measured["macro_f1"] == pytest.approx((2 / 3 + 0.8 + 0) / 3)
    assert measured["weighted_f1"] == pytest.approx((3 * 2 / 3 + 2 * 0.8 + 0) / 6)
    assert measured["images"] == 6


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


@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
def test_ranking_is_that_of_scikit_learn(weighted):
    """Scores with many ties; weights as whole numbers, some of them 0."""
    random = np.random.default_rng(0)
    positive, scores = random.random(200) < 0.3, random.integers(0, 20, 200) / 20
    weights = random.integers(0, 4, (5, 200)).astype(float) if weighted else np.ones((1, 200))

    found = ranking(positive, scores)(weights)

    expected = [
        (
            roc_auc_score(positive, scores, sample_weight=row),
            average_precision_score(positive, scores, sample_weight=row),
        )
        for row in weights
    ]
    np.testing.assert_allclose(found, expected)


@pytest.mark.parametrize("label", [0, 1], ids=["none-is", "all-are"])
def test_ranking_of_one_kind_of_images_means_nothing(label):
    report = classification_metrics(np.full(4, label), one_hot([0, 0, 1, 2]), CLASSES)["report"]

    assert [report[1]["roc_auc"], report[1]["average_precision"]] == [None, None]
