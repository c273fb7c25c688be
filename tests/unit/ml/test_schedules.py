import numpy as np
import pytest

from ml.config import TrainSettings
from ml.schedules import LearningRate


def rates(steps_per_epoch=10, **changes):
    settings = TrainSettings(learning_rate=0.1, **{"epochs": 5, **changes})
    rate = LearningRate(settings, steps_per_epoch)
    return np.array([float(rate(step)) for step in range(settings.epochs * steps_per_epoch)])


def test_rate_rises_in_equal_steps_to_the_highest():
    np.testing.assert_allclose(rates(warmup_epochs=0.5)[:5], [0.02, 0.04, 0.06, 0.08, 0.1], rtol=1e-5)


def test_cosine_falls_to_a_hundredth_over_what_is_left():
    falling = rates(warmup_epochs=1)[9:]

    assert (np.diff(falling[1:]) < 0).all()
    assert falling[1] == pytest.approx(0.1)
    assert falling[21] == pytest.approx(0.1 * 0.505)
    assert falling[-1] == pytest.approx(0.001, rel=0.3)


def test_constant_rate_stays_at_the_highest():
    np.testing.assert_allclose(rates(schedule="constant", warmup_epochs=1)[9:], 0.1, rtol=1e-6)


def test_without_a_rise_the_first_step_has_the_highest_rate():
    assert rates(warmup_epochs=0)[0] == pytest.approx(0.1)


def test_rise_longer_than_the_training_is_cut_off():
    assert rates(warmup_epochs=10, epochs=1).tolist() == pytest.approx(np.arange(1, 11) / 1000)
