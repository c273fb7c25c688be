"""One signature of a loaded model, as a function from arrays to arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from serving.server.status import Code, StatusError, graph_error
from serving.server.tensors import from_proto, type_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from tensorflow.core.protobuf import meta_graph_pb2

    Arrays = Mapping[str, NDArray[Any]]

__all__ = ["DEFAULT_SIGNATURE", "Signature"]

DEFAULT_SIGNATURE = "serving_default"


class Signature:
    """A signature's definition and its function.

    Args:
        definition: as the SavedModel has it.
        function: as ``tf.saved_model.load`` restores it.
    """

    def __init__(self, definition: meta_graph_pb2.SignatureDef, function: Any) -> None:
        self.definition = definition
        self.outputs = tuple(definition.outputs)
        self._function = function
        self._inputs = {
            name: (tf.dtypes.as_dtype(info.dtype), tf.TensorShape(info.tensor_shape))
            for name, info in definition.inputs.items()
        }

    def parse(self, inputs: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
        """Arrays of a request's TensorProtos.

        Raises:
            StatusError: INVALID_ARGUMENT when names or types are not the signature's.
        """
        self._check_names(inputs)
        return {name: from_proto(name, proto, self._inputs[name][0].as_datatype_enum) for name, proto in inputs.items()}

    def check(self, inputs: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
        """The inputs as arrays, if they are the signature's.

        Raises:
            StatusError: INVALID_ARGUMENT when names, types or shapes are not.
        """
        self._check_names(inputs)
        return {name: self._checked(name, _as_array(value)) for name, value in inputs.items()}

    def call(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        """Run the graph on inputs that were checked.

        Returns:
            Arrays by output name; strings are object arrays of bytes.

        Raises:
            StatusError: the graph refuses the values.
        """
        tensors = {name: tf.constant(array, self._inputs[name][0]) for name, array in inputs.items()}
        try:
            outputs = self._function(**tensors)
            return {name: _as_array(tensor.numpy()) for name, tensor in outputs.items()}
        except tf.errors.OpError as error:
            raise graph_error(error.error_code, error.message) from error
        except (TypeError, ValueError) as error:
            raise StatusError(Code.INVALID_ARGUMENT, str(error)) from error

    def _check_names(self, inputs: Mapping[str, Any]) -> None:
        if inputs.keys() != self._inputs.keys():
            sent, wanted = set(inputs), set(self._inputs)
            extra, missing = (", ".join(sorted(names)) for names in (sent - wanted, wanted - sent))
            raise StatusError(
                Code.INVALID_ARGUMENT,
                f"The inputs do not match the signature's. Sent extra: {{{extra}}}. "
                f"Missing but required: {{{missing}}}.",
            )

    def _checked(self, name: str, array: NDArray[Any]) -> NDArray[Any]:
        dtype, shape = self._inputs[name]
        sent = tf.dtypes.as_dtype(array.dtype)
        if sent != dtype:
            raise StatusError(
                Code.INVALID_ARGUMENT,
                f"Input {name} is expected to be {type_name(dtype.as_datatype_enum)} "
                f"but {type_name(sent.as_datatype_enum)} is provided",
            )
        if not shape.is_compatible_with(array.shape):
            sizes = [-1 if size is None else size for size in shape]
            raise StatusError(
                Code.INVALID_ARGUMENT,
                f"Input {name} is expected to have the shape {sizes} but {list(array.shape)} is provided",
            )
        return array


def _as_array(value: Any) -> NDArray[Any]:
    # Of bytes numpy would make an array of fixed width, and cut trailing zeros.
    return np.asarray(value, dtype=object if isinstance(value, bytes) else None)
