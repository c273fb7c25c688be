"""A model as one graph whose weights are variables: stored once and held in memory once, for all who call it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["StoredModel"]

#: Bytes from which a tensor is a weight. What is smaller (biases, kernels of one channel) stays in the graph, where
#: TensorFlow joins it with the operation beside it.
WEIGHT_BYTES = 64 * 1024


class StoredModel(tf.Module):  # type: ignore[misc]
    """A model in the arithmetic that it was assembled with, its weights taken out of the graph again.

    Args:
        model: from float32 [N, size, size, 3] in [0, 1] to a dictionary of tensors, its weights constants, variables or
            both.
        size: height and width of its images, pixels.
    """

    def __init__(self, model: Callable[..., Any], size: int) -> None:
        super().__init__(name="stored")
        spec = tf.TensorSpec([None, size, size, 3], tf.float32, name="images")
        traced = tf.function(lambda images: dict(model(images)), autograph=False).get_concrete_function(spec)
        # Outputs lie as tf.nest flattens a dictionary: in the order of its keys.
        function = self._build(convert_variables_to_constants_v2(traced), sorted(traced.structured_outputs))
        self._call = tf.function(function, input_signature=[spec], autograph=False)

    def __call__(self, images: Any) -> dict[str, Any]:
        """What the model answers."""
        return dict(self._call(images))

    def _build(self, flat: Any, names: list[str]) -> Callable[[Any], dict[str, Any]]:
        definition = flat.graph.as_graph_def()
        weights = {
            node.name: tf.make_ndarray(node.attr["value"].tensor) for node in definition.node if _is_weight(node)
        }
        self.weights = [tf.Variable(value, trainable=False, name="weight") for value in weights.values()]
        for node in [node for node in definition.node if node.name in weights]:
            definition.node.remove(node)
        ends = [tensor.name for tensor in flat.outputs]
        shapes = [tensor.shape for tensor in flat.outputs]

        def run(images: Any) -> dict[str, Any]:
            read = {f"{name}:0": variable.read_value() for name, variable in zip(weights, self.weights, strict=True)}
            inputs = {flat.inputs[0].name: images, **read}
            found = tf.graph_util.import_graph_def(definition, input_map=inputs, return_elements=ends, name="model")
            return {name: tf.ensure_shape(*output) for name, *output in zip(names, found, shapes, strict=True)}

        return run


def _is_weight(node: Any) -> bool:
    return bool(node.op == "Const" and node.attr["value"].tensor.ByteSize() >= WEIGHT_BYTES)
