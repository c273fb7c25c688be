import numpy as np
import pytest

from ml.macro_f1 import MacroF1
from ml.metrics import classification_metrics

CLASSES = ("a", "b", "c", "d")


def draw(seed, classes):
    generator = np.random.default_rng(seed)
    return generator.integers(0, classes, 50), generator.dirichlet(np.ones(4), 50).astype(np.float32)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("classes", [4, 3], ids=["all-classes", "a-class-without-images"])
def test_it_is_that_of_an_evaluation_whatever_the_batches(seed, classes):
    labels, probabilities = draw(seed, classes)
    metric = MacroF1(4)
    for start in range(0, 50, 16):
        metric.update_state(labels[start : start + 16], probabilities[start : start + 16])

    expected = classification_metrics(labels, probabilities, CLASSES)["macro_f1"]
    assert float(metric.result()) == pytest.approx(expected, abs=1e-6)


def test_class_that_is_neither_there_nor_predicted_counts_0():
    metric = MacroF1(2)
    metric.update_state(np.array([0, 0]), np.array([[0.9, 0.1], [0.8, 0.2]], np.float32))

    assert float(metric.result()) == 0.5


def test_every_epoch_begins_at_nothing():
    metric = MacroF1(2)
    metric.update_state(np.array([0, 1]), np.array([[0.1, 0.9], [0.9, 0.1]], np.float32))
    metric.reset_state()
    metric.update_state(np.array([0, 1]), np.array([[0.9, 0.1], [0.1, 0.9]], np.float32))

    assert float(metric.result()) == 1
