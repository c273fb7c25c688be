"""Between the protocol's tensors and TensorFlow's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2, types_pb2

from serving.server.status import Code, StatusError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["from_proto", "to_proto", "type_name"]

#: The field of a TensorProto that holds values of a dtype. TensorFlow Serving answers in these, not in raw bytes.
VALUE_FIELDS = {
    "float": "float_val",
    "double": "double_val",
    "int8": "int_val",
    "int16": "int_val",
    "int32": "int_val",
    "uint8": "int_val",
    "uint16": "int_val",
    "int64": "int64_val",
    "uint32": "uint32_val",
    "uint64": "uint64_val",
    "bool": "bool_val",
    "string": "string_val",
}


def type_name(dtype: int) -> str:
    """A dtype as the protocol's errors spell it, e.g. ``float``."""
    return str(types_pb2.DataType.Name(dtype)).removeprefix("DT_").lower()


def from_proto(name: str, proto: Any, dtype: int) -> Any:
    """A tensor of a request, sent as typed fields or as raw content.

    Raises:
        StatusError: INVALID_ARGUMENT when it is not of the dtype, or its values do not fill its shape.
    """
    if proto.dtype != dtype:
        raise StatusError(
            Code.INVALID_ARGUMENT,
            f"Input {name} is expected to be {type_name(dtype)} but {type_name(proto.dtype)} is provided",
        )
    try:
        return tf.io.parse_tensor(proto.SerializeToString(), tf.dtypes.as_dtype(dtype))
    except tf.errors.OpError as error:
        raise StatusError(Code.INVALID_ARGUMENT, f"Input {name} cannot be parsed: {error.message}") from error


def to_proto(array: NDArray[Any]) -> Any:
    """An array as a TensorProto with typed fields."""
    dtype = tf.dtypes.as_dtype(array.dtype).as_datatype_enum
    field = VALUE_FIELDS.get(type_name(dtype))
    if field is None:
        return tf.make_tensor_proto(array)
    proto = tensor_pb2.TensorProto(dtype=dtype)
    for size in array.shape:
        proto.tensor_shape.dim.add(size=size)
    getattr(proto, field).extend(np.ravel(array).tolist())
    return proto
