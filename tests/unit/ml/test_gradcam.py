from __future__ import annotations

import numpy as np
import pytest

from ml.config import TrainSettings
from ml.gradcam import grad_cam
from ml.head import build_head


@pytest.fixture(scope="module")
def head():
    mean, variance = np.zeros(3, np.float32), np.ones(3, np.float32)
    built = build_head((4, 5, 3), 2, TrainSettings(units=4, heads=1, key_dim=2), mean, variance, attention=False)
    # Class 0 goes by the first channel, class 1 by the second; the third says nothing.
    dense, last = built.get_layer("dense"), built.get_layer("probabilities")
    kernel = np.zeros((3, 4), np.float32)
    kernel[0, 0] = kernel[1, 1] = 1
    dense.set_weights([kernel, np.zeros(4, np.float32)])
    weights = np.zeros((4, 2), np.float32)
    weights[0, 0] = weights[1, 1] = 5
    last.set_weights([weights, np.zeros(2, np.float32)])
    return built


@pytest.fixture
def maps():
    found = np.zeros((2, 4, 5, 3), np.float32)
    found[:, 1, 2, 0] = 4
    found[:, 3, 0, 1] = 4
    found[:, 0, 4, 2] = 9
    return found


def test_evidence_lies_where_the_class_s_channel_is(head, maps):
    evidence = grad_cam(head, maps.astype(np.float16), np.array([0, 1]))

    assert (evidence.shape, evidence.dtype) == ((2, 4, 5), np.float32)
    assert np.unravel_index(evidence[0].argmax(), (4, 5)) == (1, 2)
    assert np.unravel_index(evidence[1].argmax(), (4, 5)) == (3, 0)
    np.testing.assert_allclose(evidence.sum(axis=(1, 2)), 1, rtol=1e-6)
    assert evidence[0, 0, 4] == pytest.approx(0)


def test_evidence_is_that_of_the_score_before_the_softmax(head, maps):
    """A certain answer has no gradient left after the softmax; before, it has."""
    evidence = grad_cam(head, maps * [100, 1, 1], np.array([0, 0]))

    assert evidence[0, 1, 2] == pytest.approx(1)


def test_without_evidence_the_map_is_even(head):
    np.testing.assert_allclose(grad_cam(head, np.zeros((1, 4, 5, 3)), np.array([0])), 1 / 20, rtol=1e-6)
