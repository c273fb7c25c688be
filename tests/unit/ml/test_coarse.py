import numpy as np
import pytest

from ml.coarse import coarse_measure, coarse_probabilities


@pytest.mark.parametrize(
    ("name", "exact", "coarse"),
    [
        ("bytes", 31_847, 32_000),
        ("bytes", 999, 1000),
        ("bytes", 0, 0),
        ("width", 512, 510),
        ("width", 1000, 1000),
        ("sharpness", 7.4, 7),
        ("sharpness", 0.2, 0),
        ("brightness", 137.4, 137),
        ("contrast", 51.6, 52),
    ],
)
def test_a_measure_keeps_two_digits_and_grey_levels_are_whole(name, exact, coarse):
    assert coarse_measure(name, [exact]).tolist() == [coarse]


@pytest.mark.parametrize("name", ["bytes", "brightness"])
def test_what_is_coarse_stays_as_it_is_and_what_is_missing_is_missing(name):
    values = np.append(np.geomspace(1, 1e9, 2000), np.nan)
    once = coarse_measure(name, values)

    np.testing.assert_array_equal(coarse_measure(name, once), once)
    assert np.isnan(once[-1])
    assert np.abs(once[:-1] / values[:-1] - 1)[values[:-1] > 20].max() <= 0.05


def test_probabilities_keep_two_decimals():
    assert coarse_probabilities([[0.12345, 0.87655]]).tolist() == [[0.12, 0.88]]
