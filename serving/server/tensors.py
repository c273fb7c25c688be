"""Between the protocol's tensors and arrays; strings are object arrays of bytes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2, types_pb2

from serving.server.status import Code, StatusError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["MAX_TENSOR_BYTES", "from_proto", "to_proto", "type_name"]

#: A tensor that repeats its last value is small on the wire and may be any size in memory.
MAX_TENSOR_BYTES = 2**28
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
    """A dtype as the protocol's errors spell it, e.g. ``float``; its number when it has no name."""
    try:
        return str(types_pb2.DataType.Name(dtype)).removeprefix("DT_").lower()
    except ValueError:
        return f"unknown dtype {dtype}"


def from_proto(name: str, proto: Any, dtype: int) -> NDArray[Any]:
    """A tensor of a request, sent as typed fields or as raw content.

    Raises:
        StatusError: INVALID_ARGUMENT when it is not of the dtype, its values do not fill its shape, or it would take
            more than ``MAX_TENSOR_BYTES``.
    """
    if proto.dtype != dtype:
        raise StatusError(
            Code.INVALID_ARGUMENT,
            f"Input {name} is expected to be {type_name(dtype)} but {type_name(proto.dtype)} is provided",
        )
    shape = [dimension.size for dimension in proto.tensor_shape.dim]
    if dtype == types_pb2.DT_STRING and _is_complete(proto, shape):
        return _strings(list(proto.string_val), shape)
    return _parsed(name, proto, shape, tf.dtypes.as_dtype(dtype))


def to_proto(array: NDArray[Any], as_content: bool = False) -> Any:
    """An array as a TensorProto with typed fields, or where its dtype allows it with raw content."""
    dtype = tf.dtypes.as_dtype(array.dtype).as_datatype_enum
    field = VALUE_FIELDS.get(type_name(dtype))
    if field is None:
        return tf.make_tensor_proto(array)
    proto = tensor_pb2.TensorProto(dtype=dtype)
    for size in array.shape:
        proto.tensor_shape.dim.add(size=size)
    if as_content and dtype != types_pb2.DT_STRING:
        proto.tensor_content = array.tobytes()
    else:
        getattr(proto, field).extend(array.ravel().tolist())
    return proto


def _is_complete(proto: Any, shape: list[int]) -> bool:
    """Whether nothing but plain values fills the shape: what every client sends."""
    if proto.tensor_content or proto.tensor_shape.unknown_rank or any(size < 0 for size in shape):
        return False
    return math.prod(shape) == len(proto.string_val)


def _strings(values: list[bytes], shape: list[int]) -> NDArray[Any]:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array.reshape(shape)


def _parsed(name: str, proto: Any, shape: list[int], dtype: Any) -> NDArray[Any]:
    size = math.prod(max(0, size) for size in shape) * max(1, dtype.size)
    if size > MAX_TENSOR_BYTES:
        raise StatusError(
            Code.INVALID_ARGUMENT,
            f"Input {name} has the shape {shape}, which takes {size} bytes; this server takes {MAX_TENSOR_BYTES}",
        )
    try:
        # A scalar string comes as bytes, which numpy would make an array of fixed width and cut trailing zeros of.
        kind = object if dtype == tf.string else None
        return np.asarray(tf.io.parse_tensor(proto.SerializeToString(), dtype).numpy(), dtype=kind)
    except tf.errors.OpError as error:
        raise StatusError(Code.INVALID_ARGUMENT, f"Input {name} cannot be parsed: {error.message}") from error
