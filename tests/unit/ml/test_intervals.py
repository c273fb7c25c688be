import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score, precision_recall_fscore_support

from ml.bootstrap import Draws
from ml.intervals import _cells, _figures, compare, metric_intervals
from ml.metrics import classification_metrics

CLASSES = ("a", "b", "c")
RANDOM = np.random.default_rng(3)
LABELS = RANDOM.integers(0, 3, 300)
#: Right four times in five.
GUESSES = np.where(RANDOM.random(300) < 0.8, LABELS, RANDOM.integers(0, 3, 300))
RARELY = RANDOM.random(300) < 0.1
ALONE = [str(number) for number in range(300)]
#: Five images each.
FIVES = [str(number // 5) for number in range(300)]


def probabilities(predicted, count=3, confidence=0.7):
    rest = (1 - confidence) / (count - 1)
    table = np.full((len(predicted), count), rest)
    table[np.arange(len(predicted)), predicted] = confidence
    return table


def intervals(labels, predicted, groups=None, count=3):
    return metric_intervals(labels, probabilities(predicted, count), CLASSES, groups or ALONE[: len(labels)])


def test_figures_lie_in_their_intervals():
    measured = classification_metrics(LABELS, probabilities(GUESSES), CLASSES)
    found = intervals(LABELS, GUESSES)

    for name in ("accuracy", "macro_f1", "weighted_f1"):
        low, high = found[name]
        assert low < measured[name] < high
        assert 0.05 < high - low < 0.15
    for row, ends in zip(measured["report"], found["report"], strict=True):
        for name in ends:
            assert ends[name][0] < row[name] < ends[name][1]
    assert (found["groups"], found["resamples"]) == (300, 2000)


def test_they_are_those_of_scikit_learns_figures_of_the_drawn_images():
    """Fifty samples, each counted out image by image."""
    draws = Draws(ALONE).sums(np.eye(300))[:50].astype(int)
    expected = [f1_score(np.repeat(LABELS, times), np.repeat(GUESSES, times), average="macro") for times in draws]

    other = np.where(LABELS == 0, 0, 1)  # a model to take the difference to
    differences = compare(LABELS, GUESSES, other, 3, ALONE).differences[:50]
    others = [
        f1_score(np.repeat(LABELS, times), np.repeat(other, times), average="macro", zero_division=0) for times in draws
    ]

    np.testing.assert_allclose(differences, np.subtract(expected, others))


@st.composite
def drawn(draw):
    """Labels, predictions (of which some are of a class that is gone), groups of a few images, and a seed."""
    count, images = draw(st.integers(1, 4)), draw(st.integers(1, 30))
    numbers = (st.integers(0, count - 1), st.integers(0, count), st.integers(0, 9))
    columns = [np.array(draw(st.lists(one, min_size=images, max_size=images))) for one in numbers]
    return count, *columns[:2], columns[2].astype(str).tolist(), draw(st.integers(0, 99))


@settings(max_examples=40, deadline=None)
@given(drawn())
def test_figures_of_samples_are_scikit_learns_with_the_number_of_draws_as_weight(case):
    count, labels, predicted, groups, seed = case
    draws = Draws(groups, resamples=5, seed=seed)
    weights = np.concatenate(list(draws.weights()))

    found = _figures(draws.sums(_cells(labels, predicted, count)).reshape(-1, count, count + 1))

    supports = np.stack([np.bincount(labels, row, count) for row in weights])
    for index, (row, support) in enumerate(zip(weights, supports, strict=True)):
        asked = {"sample_weight": row, "zero_division": 0}
        columns = precision_recall_fscore_support(labels, predicted, labels=range(count), **asked)
        for name, expected in zip(("precision", "recall", "f1"), columns[:3], strict=True):
            np.testing.assert_allclose(found[name][index], np.where(support > 0, expected, np.nan), atol=1e-9)
        counted = np.flatnonzero((support > 0) | ~supports.any(axis=0))
        averages = {
            "accuracy": accuracy_score(labels, predicted, sample_weight=row),
            "macro_f1": f1_score(labels, predicted, labels=counted, average="macro", **asked),
            "weighted_f1": f1_score(labels, predicted, labels=range(count), average="weighted", **asked),
        }
        assert {name: found[name][index] for name in averages} == pytest.approx(averages, abs=1e-9)


def test_accuracy_is_as_uncertain_as_a_share_of_its_images():
    low, high = intervals(LABELS, GUESSES)["accuracy"]

    share = (LABELS == GUESSES).mean()
    assert high - low == pytest.approx(2 * 1.96 * math.sqrt(share * (1 - share) / 300), rel=0.1)


def test_images_that_belong_together_say_less():
    """Five copies of each of sixty images are worth sixty images."""
    labels, predicted = np.repeat(LABELS[:60], 5), np.repeat(GUESSES[:60], 5)

    by_group, by_image, sixty = (
        intervals(labels, predicted, FIVES)["accuracy"],
        intervals(labels, predicted)["accuracy"],
        intervals(LABELS[:60], GUESSES[:60])["accuracy"],
    )

    assert by_group == pytest.approx(sixty, abs=0.02)
    assert by_group[1] - by_group[0] > 2 * (by_image[1] - by_image[0])


def test_a_class_without_test_images_has_none_and_pulls_the_mean_down_as_in_the_figure():
    labels, predicted = np.minimum(LABELS, 1), np.minimum(GUESSES, 1)

    found = intervals(labels, predicted)

    assert found["report"][2] == dict.fromkeys(("precision", "recall", "f1", "roc_auc", "average_precision"))
    measured = classification_metrics(labels, probabilities(predicted), CLASSES)
    assert found["macro_f1"][0] < measured["macro_f1"] < found["macro_f1"][1] < 2 / 3


def test_a_sample_that_misses_a_rare_class_counts_without_it():
    """One image of class c, always found: its F1 is 1 wherever it is drawn, and the mean is never pulled down."""
    labels = np.array([0, 1] * 20 + [2])

    found = intervals(labels, labels)

    assert all(ends == [1, 1] for ends in found["report"][2].values())
    assert found["macro_f1"] == [1, 1]


def test_one_image_a_class_gives_an_interval_and_one_group_none():
    labels = np.arange(3)

    assert intervals(labels, np.array([0, 1, 1]))["accuracy"] == [0, 1]
    together = intervals(labels, np.array([0, 1, 1]), ["p"] * 3)
    assert (together["accuracy"], together["report"][0]["f1"]) == (None, None)


def test_what_is_taken_for_a_class_that_is_gone_is_wrong():
    predicted = np.where(GUESSES == 2, 3, GUESSES)  # the fourth column

    found = metric_intervals(LABELS, probabilities(predicted, 4), CLASSES, ALONE)

    assert found["report"][2]["recall"] == [0, 0]
    low, high = found["accuracy"]
    assert low < (predicted == LABELS).mean() < high


def test_calibration_error_has_an_interval():
    measured = classification_metrics(LABELS, probabilities(GUESSES), CLASSES)["calibration_error"]

    low, high = intervals(LABELS, GUESSES)["calibration_error"]

    assert measured == pytest.approx((LABELS == GUESSES).mean() - 0.7)
    assert low < measured < high


def test_models_are_compared_on_the_same_samples():
    """Two that differ in three images are nearly sure to be close, though either's macro F1 is not."""
    other = GUESSES.copy()
    wrong = np.flatnonzero(GUESSES != LABELS)[:3]
    other[wrong] = LABELS[wrong]

    found = compare(LABELS, other, GUESSES, 3, ALONE)

    assert found.challenger - found.champion == pytest.approx(0.01, abs=0.002)
    low, high = found.interval
    assert 0 <= low < high < 0.025
    assert found.differing == 3
    assert found.probability_worse(0.05) == 0
    turned = compare(LABELS, GUESSES, other, 3, ALONE)
    assert turned.probability_worse(0) == 1
    assert turned.probability_worse(0.05) == 0


def test_equal_models_are_not_worse_than_each_other():
    found = compare(LABELS, GUESSES, GUESSES, 3, FIVES)

    assert (found.challenger, found.interval) == (found.champion, [0, 0])
    assert (found.images, found.groups, found.differing) == (300, 60, 0)
    assert (found.probability_worse(0), found.probability_worse(1e-9)) == (1, 0)  # no better, and no worse


@pytest.mark.parametrize("ahead", range(2, 9))
def test_leads_of_a_few_images_are_no_surer_than_that_many_coins(ahead):
    """Two equal models that differ in so many images: that the challenger has all of them right is a chance of 2^-n."""
    wrong = np.flatnonzero(GUESSES != LABELS)[:ahead]
    better = GUESSES.copy()
    better[wrong] = LABELS[wrong]

    probability = compare(LABELS, better, GUESSES, 3, ALONE).probability_worse(0)

    assert 2.0**-ahead < probability < 4 * 2.0**-ahead


def test_with_many_differing_groups_it_is_the_share_of_samples():
    other = np.where(RARELY, LABELS, GUESSES)
    found = compare(LABELS, other, np.roll(other, 1), 3, ALONE)
    margin = -float(np.quantile(found.differences, 0.3))

    assert found.differing > 100
    assert found.probability_worse(margin) == pytest.approx(0.3, abs=0.005)


@pytest.mark.parametrize("risk", [0.001, 0.05, 0.3])
def test_margin_above_which_the_risk_is_kept(risk):
    found = compare(LABELS, GUESSES, np.where(RARELY, LABELS, GUESSES), 3, FIVES)

    margin = found.margin_above(risk)

    assert found.probability_worse(margin) > risk
    assert found.probability_worse(math.nextafter(margin, 1)) <= risk


def test_a_tie_is_a_tie_whichever_classes_the_errors_are_in():
    """Three classes of which each model gets another one wrong: the terms of the mean come in another order."""
    labels = np.repeat(np.arange(3), 7)
    first, last = labels.copy(), labels.copy()
    first[:3], last[-3:] = 1, 1

    found = compare(labels, first, last, 3, ALONE[:21])

    assert found.challenger == found.champion


@pytest.mark.parametrize(("count", "groups"), [(0, []), (3, ["p"] * 3)], ids=["no-image", "one-group"])
def test_nothing_is_said_without_several_groups(count, groups):
    found = compare(LABELS[:count], GUESSES[:count], GUESSES[:count], 3, groups)

    assert math.isnan(found.probability_worse(0))
    assert found.interval is None
    assert math.isnan(found.challenger) is (count == 0)


def test_share_of_a_class_taken_for_another_has_an_interval():
    """Of sixty images of a class twenty are taken for the other one: a binomial's interval."""
    labels = np.repeat([0, 1], 60)
    predicted = np.r_[np.repeat([0, 1], [40, 20]), np.ones(60, dtype=int)]
    groups = [f"g{number}" for number in range(120)]

    taken = metric_intervals(labels, np.eye(2)[predicted], ("a", "b"), groups)["confusion"]

    deviation = 1.96 * np.sqrt(1 / 3 * 2 / 3 / 60)
    assert taken[0][1] == pytest.approx([1 / 3 - deviation, 1 / 3 + deviation], abs=0.02)
    assert taken[1][0] == [0, 0]
