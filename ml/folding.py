"""Frozen graphs in the form that TensorFlow fuses: a convolution, its bias and its activation, one pass over memory.

What Keras's batch normalisation leaves of itself, once its weights are constants, is a product and a sum after each
convolution (Jacob et al., 2018, section 3.2). TensorFlow takes the product into the kernels of plain convolutions, not
into those of depthwise ones, and it fuses an activation only where there is a bias between it and the convolution: one
of zeros it takes away before it looks. Unfused, each of these is a pass over memory of its own, in bfloat16 by one
element at a time: of MobileNet's time they are two fifths.
"""

from __future__ import annotations

from collections import Counter
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import graph_pb2, node_def_pb2

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["FOLDING_VERSION", "fold"]

#: Part of every feature map's fingerprint: raise it when maps come out rounded in other places.
FOLDING_VERSION = 1
DEPTHWISE = "DepthwiseConv2dNative"
CONVOLUTIONS = ("Conv2D", DEPTHWISE)
#: Stands for a bias of zero where TensorFlow must not see one; it changes no number but zero.
NO_BIAS = 1e-30


def fold(definition: Any) -> Any:
    """Take products into depthwise kernels, make sums biases, and give each convolution with an activation a bias.

    Args:
        definition: a ``GraphDef`` whose weights are constants, channels last; it is left as it is.

    Returns:
        A ``GraphDef`` that computes the same, but for how its weights are rounded, and gives it the same names.
    """
    graph = _Graph(definition)
    graph.each(("Mul",), _fold_product)
    graph.each(("Add", "AddV2"), _make_bias)
    graph.each(("Relu", "Relu6"), _give_bias)
    return graph.definition()


def _fold_product(graph: _Graph, product: Any) -> None:
    found = graph.convolution_and_constant(product)
    if found is None or found[0].op != DEPTHWISE:
        return
    convolution, factors = found
    kernel = graph.kernel(convolution)
    folded = (kernel * factors.reshape(kernel.shape[2:])).astype(kernel.dtype)
    convolution.input[1] = graph.add_constant(f"{product.name}/kernel", folded)
    graph.replace(product, convolution)


def _make_bias(graph: _Graph, total: Any) -> None:
    found = graph.convolution_and_constant(total)
    if found is not None:
        convolution, bias = found
        graph.replace(total, graph.add_bias(f"{total.name}/biased", convolution, bias))


def _give_bias(graph: _Graph, activation: Any) -> None:
    convolution = graph.convolution(activation.input[0])
    if convolution is not None:
        kernel = graph.kernel(convolution)
        no_bias = np.full(_channels(convolution, kernel), NO_BIAS, kernel.dtype)
        activation.input[0] = graph.add_bias(f"{activation.name}/biased", convolution, no_bias).name


def _channels(convolution: Any, kernel: np.ndarray) -> int:
    """That come out: of a depthwise one, several for each that goes in."""
    return int(kernel.shape[2] * kernel.shape[3] if convolution.op == DEPTHWISE else kernel.shape[3])


class _Graph:
    """Nodes by their names, of which some are replaced."""

    def __init__(self, definition: Any) -> None:
        self._rest = graph_pb2.GraphDef(versions=definition.versions, library=definition.library)
        self._nodes = {node.name: node for node in deepcopy(definition).node}
        self._readers = Counter(_name(tensor) for node in self._nodes.values() for tensor in node.input)

    def definition(self) -> Any:
        """All that is there now."""
        self._rest.node.extend(self._nodes.values())
        return self._rest

    def each(self, operations: Sequence[str], change: Callable[[_Graph, Any], None]) -> None:
        """Do something with every node of some operations."""
        for node in [node for node in self._nodes.values() if node.op in operations]:
            change(self, node)

    def convolution(self, tensor: str) -> Any:
        """The convolution of constant kernel that nobody else reads; None where a tensor comes from something else."""
        node = self._nodes[_name(tensor)]
        alone = node.op in CONVOLUTIONS and self._readers[node.name] == 1
        return node if alone and self._constant(node.input[1]) is not None else None

    def convolution_and_constant(self, node: Any) -> tuple[Any, np.ndarray] | None:
        """The two that a node takes, in either order, where the constant has one number for each channel."""
        for one, other in (node.input[:2], node.input[1::-1]):
            convolution, constant = self.convolution(one), self._constant(other)
            if convolution is not None and constant is not None:
                channels = _channels(convolution, self.kernel(convolution))
                if constant.size == channels == constant.shape[-1]:
                    return convolution, constant.reshape(-1)
        return None

    def kernel(self, convolution: Any) -> np.ndarray:
        """Of a convolution that was found here: [H, W, C, C'], or [H, W, C, M] of a depthwise one."""
        kernel = self._constant(convolution.input[1])
        assert kernel is not None
        return kernel

    def _constant(self, tensor: str) -> np.ndarray | None:
        node = self._nodes[_name(tensor)]
        return tf.make_ndarray(node.attr["value"].tensor) if node.op == "Const" else None

    def add_constant(self, name: str, values: np.ndarray) -> str:
        """Returns its name."""
        node = self._nodes[name] = node_def_pb2.NodeDef(name=name, op="Const")
        node.attr["dtype"].type = tf.as_dtype(values.dtype).as_datatype_enum
        node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(values))
        return name

    def add_bias(self, name: str, convolution: Any, bias: np.ndarray) -> Any:
        """Returns the node that adds it."""
        node = self._nodes[name] = node_def_pb2.NodeDef(name=name, op="BiasAdd")
        node.input.extend([convolution.name, self.add_constant(f"{name}/bias", bias)])
        node.attr["T"].CopyFrom(convolution.attr["T"])
        node.attr["data_format"].s = b"NHWC"
        return node

    def replace(self, node: Any, by: Any) -> None:
        """Give another node the name of one, and so its readers."""
        del self._nodes[node.name], self._nodes[by.name]
        by.name = node.name
        self._nodes[by.name] = by


def _name(tensor: str) -> str:
    """Of the node that a tensor, or an order of execution, comes from."""
    return tensor.lstrip("^").partition(":")[0]
