from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.sampling import class_weights, oversample

QUIET = settings(max_examples=15, deadline=None, derandomize=True, database=None)


@QUIET
@given(
    st.lists(st.integers(0, 3), min_size=2, max_size=60).filter(lambda labels: len(set(labels)) > 1), st.integers(0, 9)
)
def test_oversampling_makes_classes_equal_and_leaves_no_image_out(labels, seed):
    labels = np.array(labels)
    indices = oversample(labels, "random_over", seed)
    counts = Counter(labels[indices].tolist())

    assert set(indices.tolist()) == set(range(len(labels)))
    assert set(counts.values()) == {max(Counter(labels.tolist()).values())}


def test_oversampling_depends_on_its_seed_alone():
    labels = np.array([0] * 30 + [1] * 5)
    first, again, other = (oversample(labels, "random_over", seed) for seed in (1, 1, 2))

    np.testing.assert_array_equal(first, again)
    assert first.dtype == np.int64
    assert list(first) != list(other)


@pytest.mark.parametrize("imbalance", ["class_weight", "none"])
def test_without_oversampling_every_image_comes_once(imbalance):
    np.testing.assert_array_equal(oversample(np.array([0, 0, 1]), imbalance, 1), [0, 1, 2])


def test_weighed_classes_count_alike_and_images_1_on_average():
    labels = np.array([0] * 30 + [1] * 5 + [2] * 1)
    weights = class_weights(labels, 3)

    assert weights.dtype == np.float32
    np.testing.assert_allclose(weights * [30, 5, 1], 12, rtol=1e-6)
    assert weights[labels].mean() == pytest.approx(1)
