"""Adam in one pass over the weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
import tensorflow as tf

if TYPE_CHECKING:
    from tensorflow import Tensor

__all__ = ["FusedAdam"]


class FusedAdam(keras.optimizers.Adam):  # type: ignore[misc]
    """Adam (Kingma & Ba, 2015) as TensorFlow's one kernel for it.

    Keras writes the same update as eight operations, each of which goes through memory; for a head of some million
    weights on a few processors that is a quarter of a step. The moving averages are ``variables``, as Keras keeps them.

    Args:
        learning_rate: a number or a schedule of Keras.
        beta_1: decay of the moving average of the gradient.
        beta_2: decay of that of its square.
        epsilon: added to the root of the latter.
    """

    def __init__(
        self,
        learning_rate: float | keras.optimizers.schedules.LearningRateSchedule,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
    ) -> None:
        # Only what the kernel knows: it would pass over amsgrad in silence.
        super().__init__(learning_rate, beta_1, beta_2, epsilon)

    def update_step(self, gradient: Tensor, variable: Any, learning_rate: Tensor) -> None:
        """Update one variable and its two moving averages.

        Args:
            gradient: of the variable's shape, dense.
            variable: one of those that the optimizer was built for.
            learning_rate: a scalar.
        """
        index, dtype = self._get_variable_index(variable), variable.dtype
        gradient = tf.cast(gradient, dtype)  # the kernel does not ask: with another type it ends the process
        step = tf.cast(_resource(self.iterations) + 1, dtype)
        tf.raw_ops.ResourceApplyAdam(
            var=_resource(variable).handle,
            m=_resource(self._momentums[index]).handle,
            v=_resource(self._velocities[index]).handle,
            beta1_power=self.beta_1**step,
            beta2_power=self.beta_2**step,
            lr=tf.cast(learning_rate, dtype),
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=gradient,
        )


def _resource(variable: Any) -> tf.Variable:
    """TensorFlow's variable, which Keras's has within."""
    return variable.value if isinstance(variable, keras.Variable) else variable
