"""Tests whose false alarms are counted, and which find what was planted."""

import numpy as np
import pytest
from scipy import stats

from ml.shift import holm, shift_of_probabilities, shift_of_shares, shift_of_values, total_variation
from monitored import draw_answers

LEVEL = 0.05
LOOKS = 600
#: Of so many looks, more false alarms than the level allows would be a chance of one in a thousand.
MOST = float(stats.binom.ppf(0.999, LOOKS, LEVEL)) / LOOKS
LEAST = float(stats.binom.ppf(0.001, LOOKS, LEVEL)) / LOOKS


def alarms(look):
    """The share of looks at unchanged data with a p-value up to the level."""
    return np.mean([look(np.random.default_rng(seed)) <= LEVEL for seed in range(LOOKS)])


@pytest.mark.parametrize("sizes", [(300, 100), (60, 400)], ids=["small window", "small reference"])
def test_unchanged_numbers_give_false_alarms_at_the_level(sizes):
    found = alarms(lambda generator: shift_of_values(*(generator.gamma(2, size=size) for size in sizes)).p_value)

    assert LEAST <= found <= MOST


def test_unchanged_shares_give_false_alarms_at_the_level_though_some_classes_are_rare():
    shares = (0.6, 0.3, 0.08, 0.02)

    def look(generator):
        return shift_of_shares(*(generator.multinomial(size, shares) for size in (200, 120)), divisions=999).p_value

    assert 0.5 * LEVEL <= alarms(look) <= MOST


def test_unchanged_probabilities_give_no_more_false_alarms_than_the_level():
    def look(generator):
        draws = generator.dirichlet(np.full(5, 0.4), 350)
        return shift_of_probabilities(draws[:200], draws[200:]).p_value

    assert 0.2 * LEVEL <= alarms(look) <= MOST


def test_values_that_repeat_give_fewer_false_alarms():
    found = alarms(
        lambda generator: shift_of_values(*(generator.choice([256.0, 512.0], n) for n in (200, 150))).p_value
    )

    assert found <= LEVEL


def test_other_shares_are_found_with_their_distance():
    shift = shift_of_shares([250, 250, 250, 250], [10, 20, 60, 10])

    assert shift.distance == pytest.approx(0.35)
    assert shift.p_value == pytest.approx(1e-5)


def test_a_shifted_measure_is_found():
    generator = np.random.default_rng(0)

    shift = shift_of_values(generator.normal(60, 12, 900), generator.normal(72, 12, 150))

    assert shift.distance == pytest.approx(2 * stats.norm.cdf(0.5) - 1, abs=0.1)
    assert shift.p_value < 1e-6


def test_probabilities_tell_of_a_change_that_the_classes_do_not_show():
    before, now = draw_answers(500, seed=1), draw_answers(500, seed=2, sureness=2.0)
    counts = [np.bincount(one.argmax(axis=1), minlength=4).tolist() for one in (before, now)]

    assert shift_of_shares(*counts).p_value > 0.01
    assert shift_of_probabilities(before, now).p_value < 1e-6


def test_numbers_are_compared_as_scipy_compares_them():
    generator = np.random.default_rng(3)
    first, second = generator.normal(size=80), generator.normal(0.3, 1, size=120)

    shift, exact = shift_of_values(first, second), stats.ks_2samp(first, second, method="exact")

    assert shift.distance == pytest.approx(exact.statistic)
    assert shift.p_value == pytest.approx(exact.pvalue, rel=0.1)


def test_equal_samples_are_at_no_distance():
    assert shift_of_shares([5, 7], [10, 14]) == (0.0, 1.0)
    assert total_variation([3, 0], [0, 9]) == 1.0


def test_adjustment_is_holms():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_any_of_nine_tests_raises_a_false_alarm_no_oftener_than_the_level():
    def look(generator):
        return min(holm([shift_of_values(generator.normal(size=200), generator.normal(size=100)).p_value
                         for _ in range(9)]))  # fmt: skip

    assert 0.4 * LEVEL <= alarms(look) <= MOST
