"""How the learning rate changes in the course of a training."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import keras
from keras import ops

if TYPE_CHECKING:
    from ml.config import TrainSettings

__all__ = ["LearningRate"]

#: What a cosine leaves of the highest rate at its end.
LAST_SHARE = 0.01


class LearningRate(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
    """A rate that rises linearly from step to step, then stays or falls along half a cosine.

    The rise lets Adam's averages and the batch normalisation settle before steps get long (Goyal et al., 2017,
    "Accurate, Large Minibatch SGD", section 2.2); the fall is that of Loshchilov and Hutter (2017, "SGDR", equation 5)
    without restarts. It depends on the number of the step alone, so a training that is taken up again goes on exactly.

    Args:
        settings: the highest rate, the form, and for how many epochs it rises.
        steps_per_epoch: batches in an epoch.
    """

    def __init__(self, settings: TrainSettings, steps_per_epoch: int) -> None:
        self._highest, self._form = settings.learning_rate, settings.schedule
        self._rising = round(settings.warmup_epochs * steps_per_epoch)
        self._falling = max(1, settings.epochs * steps_per_epoch - self._rising)

    def __call__(self, step: Any) -> Any:
        """The rate of a step, counted from 0: a float32 scalar."""
        done = ops.cast(step, "float32")
        share = 1.0 if self._form == "constant" else self._cosine((done - self._rising) / self._falling)
        risen = ops.minimum((done + 1) / max(1, self._rising), 1.0)
        return self._highest * risen * share

    def _cosine(self, progress: Any) -> Any:
        turned = 0.5 * (1 + ops.cos(math.pi * ops.clip(progress, 0.0, 1.0)))
        return LAST_SHARE + (1 - LAST_SHARE) * turned
