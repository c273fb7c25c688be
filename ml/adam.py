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
    weights on a few processors that is a quarter of a step. The kernel has no amsgrad; the moving averages are
    ``variables``, as Keras keeps them.
    """

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
