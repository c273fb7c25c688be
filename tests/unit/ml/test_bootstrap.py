import numpy as np
import pytest
from scipy import sparse

from ml import bootstrap
from ml.bootstrap import Draws, interval, mean_interval

GROUPS = ["a", "b", "b", "c", "c", "c"]
#: Of each image: one, and its number.
VALUES = np.stack([np.ones(6), np.arange(6)], axis=1)


def test_groups_are_drawn_whole():
    """Three groups of 1, 2 and 3 images: three draws of them, and nothing in between."""
    sums = Draws(GROUPS).sums(np.eye(6))

    for members in ([0], [1, 2], [3, 4, 5]):
        assert (sums[:, members] == sums[:, members[:1]]).all()
    assert (sums[:, [0, 1, 3]].sum(axis=1) == 3).all()


def test_each_group_is_drawn_once_on_average():
    sums = Draws(GROUPS, resamples=20_000).sums(np.eye(6))

    np.testing.assert_allclose(sums.mean(axis=0), 1, atol=0.03)
    # Of three draws among three: binomial, with a variance of 3 x 1/3 x 2/3.
    np.testing.assert_allclose(sums.var(axis=0), 2 / 3, atol=0.03)


def test_the_same_seed_draws_the_same_groups_whatever_is_summed():
    together = Draws(GROUPS, seed=5).sums(VALUES)
    apart = [Draws(GROUPS, seed=5).sums(VALUES[:, [column]])[:, 0] for column in range(2)]

    np.testing.assert_array_equal(together.T, apart)
    assert (Draws(GROUPS, seed=6).sums(VALUES) != together).any()


def test_sparse_values_and_many_groups_give_the_same(monkeypatch):
    expected = Draws(GROUPS).sums(VALUES)

    np.testing.assert_array_equal(Draws(GROUPS).sums(sparse.csr_array(VALUES)), expected)
    monkeypatch.setattr(bootstrap, "CELLS", 100)  # 33 samples at once
    np.testing.assert_array_equal(Draws(GROUPS).sums(VALUES), expected)


def test_weights_are_those_that_sums_are_of(monkeypatch):
    draws = Draws(GROUPS, resamples=50)
    monkeypatch.setattr(bootstrap, "CELLS", 100)  # 16 samples at once

    blocks = list(draws.weights())

    assert [len(block) for block in blocks] == [16, 16, 16, 2]
    np.testing.assert_array_equal(np.concatenate(blocks) @ VALUES, draws.sums(VALUES))


def test_interval_is_that_of_the_mean():
    """Of 400 normal numbers the mean lies within 1.96 standard errors."""
    values = np.random.default_rng(1).normal(10, 2, 400)
    sums = Draws([str(number) for number in range(400)]).sums(np.stack([values, np.ones(400)], axis=1))

    low, high = interval(sums[:, 0] / sums[:, 1])

    error = 1.96 * values.std() / 20
    assert (low, high) == pytest.approx((values.mean() - error, values.mean() + error), abs=0.03)


def test_what_means_nothing_is_left_out_of_an_interval():
    assert interval(np.array([np.nan, 1.0, 1.0])) == [1.0, 1.0]
    assert interval(np.array([np.nan, np.nan])) is None


def test_mean_of_few_groups_gets_the_interval_of_student_s_distribution():
    """Of ten groups that differ normally a plain percentile interval would be a fifth too narrow."""
    values = np.random.default_rng(3).normal(size=10)
    low, high = mean_interval(values, Draws([f"g{number}" for number in range(10)]))

    half = 2.262 * values.std(ddof=1) / np.sqrt(10)
    assert (high - low) / 2 == pytest.approx(half, rel=0.1)
    assert (low + high) / 2 == pytest.approx(values.mean(), abs=0.1)


def test_mean_of_one_group_has_no_interval():
    assert mean_interval(np.array([1.0, 2.0]), Draws(["g", "g"])) is None
