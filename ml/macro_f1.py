"""Macro F1 as Keras measures it while it trains."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

__all__ = ["MacroF1"]


class MacroF1(keras.metrics.Metric):  # type: ignore[misc]
    """The mean over the classes of F1, from counts over all images, as ``ml.metrics`` has it in the end.

    Args:
        class_count: number of classes; one that is neither there nor predicted has F1 0.
    """

    def __init__(self, class_count: int) -> None:
        super().__init__(name="macro_f1")
        self._classes = class_count
        self._right, self._wanted, self._given = (
            self.add_variable((class_count,), "zeros", name=name) for name in ("right", "wanted", "given")
        )

    def update_state(self, labels: Any, probabilities: Any, sample_weight: None = None) -> None:  # noqa: ARG002
        """Count images: int [N] and float [N, C]; each counts once."""
        wanted = ops.one_hot(ops.reshape(labels, (-1,)), self._classes)
        given = ops.one_hot(ops.argmax(probabilities, axis=1), self._classes)
        self._right.assign_add(ops.sum(wanted * given, axis=0))
        self._wanted.assign_add(ops.sum(wanted, axis=0))
        self._given.assign_add(ops.sum(given, axis=0))

    def result(self) -> Any:
        """Macro F1: a float32 scalar."""
        # Counts are whole: where both are 0 so is the numerator, and the quotient.
        return ops.mean(2 * self._right / ops.maximum(self._wanted + self._given, 1.0))
