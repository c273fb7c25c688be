from __future__ import annotations

import math

import numpy as np
import pytest

from ml.drift import ks_noise, ks_statistic, mmd_test, psi, psi_noise


def normal(count, seed, shift=0.0, spread=1.0, size=16):
    return np.random.default_rng(seed).normal(shift, spread, (count, size))


def test_equal_shares_have_no_drift():
    assert psi([100, 200], [100, 200]) == pytest.approx(0)


def test_the_index_is_that_of_the_shares():
    expected = (0.9 - 0.5) * math.log(0.9 / 0.5) + (0.1 - 0.5) * math.log(0.1 / 0.5)

    assert psi([50_000, 50_000], [90_000, 10_000]) == pytest.approx(expected, rel=1e-3)


def test_the_index_does_not_depend_on_which_sample_comes_first():
    assert psi([10, 30], [25, 5]) == pytest.approx(psi([25, 5], [10, 30]))


def test_a_category_that_is_empty_on_one_side_gives_a_large_finite_index():
    assert 0.25 < psi([100, 0], [50, 50]) < 10


@pytest.mark.parametrize(("reference", "current"), [(256, 40), (2000, 2000)], ids=["few", "many"])
def test_chance_alone_seldom_exceeds_the_noise_of_the_index(reference, current):
    generator = np.random.default_rng(3)
    shares = [0.1, 0.2, 0.3, 0.4]
    drawn = [psi(generator.multinomial(reference, shares), generator.multinomial(current, shares)) for _ in range(2000)]
    limit = psi_noise(4, reference, current)

    assert np.mean(np.array(drawn) > limit) < 0.005
    assert np.mean(np.array(drawn) > limit / 3) > 0.01


def test_one_category_has_no_noise():
    assert psi_noise(1, 10, 10) == 0


@pytest.mark.parametrize(
    ("reference", "current", "expected"),
    [
        ([1, 2, 3, 4], [1, 2, 3, 4], 0),
        ([1, 2, 3, 4], [5, 6], 1),
        ([1, 2, 3, 4], [3, 4], 0.5),
        ([256, 256, 256], [128, 256], 0.5),
        ([256, 256], [512], 1),
    ],
    ids=["equal", "apart", "half", "below a single value", "above a single value"],
)
def test_the_largest_difference_of_cumulative_shares(reference, current, expected):
    assert ks_statistic(np.array(reference), np.array(current)) == pytest.approx(expected)


def test_chance_alone_seldom_exceeds_the_noise_of_the_statistic():
    generator = np.random.default_rng(5)
    drawn = [ks_statistic(generator.normal(size=256), generator.normal(size=40)) for _ in range(2000)]

    assert np.mean(np.array(drawn) > ks_noise(256, 40)) < 0.005
    assert np.mean(np.array(drawn) > ks_noise(256, 40) / 2) > 0.01


def test_p_values_of_one_distribution_are_spread_evenly():
    values = [mmd_test(normal(40, 2 * n), normal(30, 2 * n + 1), seed=n, permutations=199).p_value for n in range(60)]

    assert 0.4 < np.mean(values) < 0.6
    assert np.mean(np.array(values) <= 0.1) < 0.2


@pytest.mark.parametrize(("shift", "spread"), [(0.7, 1.0), (0.0, 2.0)], ids=["mean", "spread"])
def test_a_shifted_distribution_has_a_small_p_value(shift, spread):
    values = [mmd_test(normal(60, n), normal(50, 100 + n, shift, spread), seed=n).p_value for n in range(10)]

    assert max(values) <= 0.01


def test_the_test_says_the_same_again_and_with_how_many_vectors():
    first, second = (mmd_test(normal(30, 1), normal(20, 2), seed=4) for _ in range(2))

    assert first == second
    assert (first.reference, first.current) == (30, 20)


def test_the_statistic_is_the_unbiased_one():
    reference, current = normal(6, 1, size=3), normal(5, 2, shift=1, size=3)
    both = np.concatenate([reference, current])
    distances = np.linalg.norm(both[:, None] - both[None], axis=2) ** 2
    kernel = np.exp(-distances / (2 * np.median(distances[np.triu_indices(11, 1)])))
    within = [
        (block.sum() - len(block)) / (len(block) * (len(block) - 1)) for block in (kernel[:6, :6], kernel[6:, 6:])
    ]

    assert mmd_test(reference, current).statistic == pytest.approx(sum(within) - 2 * kernel[:6, 6:].mean())


def test_vectors_that_are_all_equal_are_no_drift():
    assert mmd_test(np.ones((5, 3)), np.ones((4, 3))).p_value == 1


def test_a_single_value_apart_from_all_others_is_drift():
    assert mmd_test(np.zeros((20, 3)), np.ones((20, 3))).p_value <= 0.01
