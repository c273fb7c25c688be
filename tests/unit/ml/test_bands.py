from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import precision_recall_curve, roc_auc_score, roc_curve

from ml.bands import GRID, class_curve_bands, reliability_bands
from ml.bootstrap import Draws, interval
from ml.metrics import BINS

RANDOM = np.random.default_rng(4)
POSITIVE = RANDOM.random(300) < 0.4
SCORES = np.round(RANDOM.random(300) + POSITIVE * 0.6, 2)  # with ties
GROUPS = [f"g{number // 2}" for number in range(300)]


@pytest.fixture(scope="module")
def bands():
    return class_curve_bands(POSITIVE, SCORES, GROUPS)


def test_curves_of_the_images_lie_within_their_bands(bands):
    recall, precision = bands
    false, true, _ = roc_curve(POSITIVE, SCORES, drop_intermediate=False)
    own = np.interp(GRID, false, true)

    assert np.all(recall[0] <= own + 1e-9)
    assert np.all(own <= recall[1] + 1e-9)
    shares, found, _ = precision_recall_curve(POSITIVE, SCORES)
    at = [shares[np.flatnonzero(found >= one)].max() for one in GRID[5:]]
    assert np.mean((precision[0][5:] <= at) & (precision[1][5:] + 0.05 >= at)) > 0.95


def test_area_below_the_band_is_about_that_of_the_interval(bands):
    """The upper ends belong to different samples, so their area is a little more than the interval's end."""
    samples = [
        roc_auc_score(POSITIVE, SCORES, sample_weight=one) for block in Draws(GROUPS, 300).weights() for one in block
    ]
    low, high = interval(np.array(samples))

    assert low - 0.03 < np.trapezoid(bands[0][0], GRID) <= low + 0.005
    assert high - 0.005 <= np.trapezoid(bands[0][1], GRID) < high + 0.03


@pytest.mark.parametrize(
    ("positive", "groups"), [(POSITIVE, ["g"] * 300), (POSITIVE | True, GROUPS)], ids=["one group", "one kind"]
)
def test_there_are_no_bands_where_nothing_can_be_resampled(positive, groups):
    assert class_curve_bands(positive, SCORES, groups) is None


def test_share_of_right_answers_in_a_bin_is_resampled():
    confidence = np.repeat([0.95, 0.5], 100)
    right = np.r_[np.arange(100) < 90, np.arange(100) < 50]

    low, high = reliability_bands(right, confidence, [f"g{number}" for number in range(200)])

    assert (np.isfinite(low).sum(), np.isfinite(high).sum()) == (2, 2)
    last = BINS - 1
    assert low[last] == pytest.approx(0.9 - 1.96 * 0.03, abs=0.015)
    assert high[last] == pytest.approx(0.9 + 1.96 * 0.03, abs=0.015)


def test_images_of_one_group_have_no_band():
    assert np.isnan(reliability_bands(np.array([True]), np.array([0.9]), ["g"])).all()
