import keras
import numpy as np
import pytest

from ml.adam import FusedAdam
from ml.config import TrainSettings
from ml.schedules import LearningRate

STEPS = 12
SHAPES = ((5, 3), (3,))


@pytest.fixture
def gradients():
    generator = np.random.default_rng(0)
    return [[generator.normal(0, 0.1, shape).astype(np.float32) for shape in SHAPES] for _ in range(STEPS)]


def descend(optimizer, gradients, dtype="float32"):
    """All variables, of the model and of the optimizer, after some steps."""
    weights = [keras.Variable(np.linspace(-1, 1, np.prod(shape)).reshape(shape), dtype=dtype) for shape in SHAPES]
    optimizer.build(weights)
    for step in gradients:
        optimizer.apply([keras.ops.convert_to_tensor(gradient) for gradient in step], weights)
    return [np.asarray(variable) for variable in [*weights, *optimizer.variables]]


@pytest.mark.parametrize("rate", [0.01, LearningRate(TrainSettings(epochs=2, learning_rate=0.01), STEPS // 2)])
def test_it_takes_the_steps_that_keras_takes(gradients, rate):
    ours, theirs = (descend(kind(rate), gradients) for kind in (FusedAdam, keras.optimizers.Adam))

    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)


def test_settings_of_its_own_count(gradients):
    settings = {"learning_rate": 0.01, "beta_1": 0.5, "beta_2": 0.7, "epsilon": 0.1}
    ours, theirs, usual = (
        descend(optimizer, gradients)[0]
        for optimizer in (FusedAdam(**settings), keras.optimizers.Adam(**settings), keras.optimizers.Adam(0.01))
    )

    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-7)
    assert np.abs(ours - usual).max() > 1e-3


def test_gradients_of_another_type_are_taken_to_that_of_the_weights(gradients):
    ours, theirs = (descend(kind(0.01), gradients, "float64") for kind in (FusedAdam, keras.optimizers.Adam))

    assert ours[0].dtype == np.float64
    np.testing.assert_allclose(ours[0], theirs[0], rtol=1e-5, atol=1e-7)
