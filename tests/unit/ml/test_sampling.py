from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.sampling import oversample

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


def test_without_oversampling_every_image_comes_once():
    np.testing.assert_array_equal(oversample(np.array([0, 0, 1]), "none", 1), [0, 1, 2])
