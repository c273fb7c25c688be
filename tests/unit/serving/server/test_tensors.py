import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2

from serving.server.status import StatusError
from serving.server.tensors import MAX_TENSOR_BYTES, from_proto, to_proto, type_name

VALUES = {
    "float": np.float32([[0.5, -1], [2, 3]]),
    "double": np.float64([0.1]),
    "int8": np.int8([-1]),
    "int16": np.int16([-1]),
    "int32": np.int32([7]),
    "uint8": np.uint8([255]),
    "uint16": np.uint16([9]),
    "int64": np.int64([2**40]),
    "uint32": np.uint32([2**32 - 1]),
    "uint64": np.uint64([2**64 - 1]),
    "bool": np.array([True, False]),
    "string": np.array([b"a\0", b""], dtype=object),
    "half": np.float16([1.5]),
    "scalar": np.float32(3),
    "none": np.zeros((0, 3), np.float32),
}


@pytest.mark.parametrize("array", VALUES.values(), ids=VALUES)
def test_an_array_comes_back_the_same(array):
    proto = to_proto(np.asarray(array))

    back = from_proto("x", proto, proto.dtype)

    np.testing.assert_array_equal(back, array)
    assert back.shape == np.shape(array)


@pytest.mark.parametrize("array", [VALUES[name] for name in ("float", "int64", "string", "bool")])
def test_answers_are_typed_fields(array):
    assert to_proto(array).tensor_content == b""


def test_raw_content_is_read_too():
    proto = tf.make_tensor_proto(VALUES["float"])
    assert proto.tensor_content

    np.testing.assert_array_equal(from_proto("x", proto, proto.dtype), VALUES["float"])


@pytest.mark.parametrize("dtype", [1, 7], ids=["float", "string"])
def test_a_small_message_for_a_huge_tensor_is_refused(dtype):
    proto = tensor_pb2.TensorProto(dtype=dtype, float_val=[1.0], string_val=[b"a"])
    for size in (2**16, 2**16):
        proto.tensor_shape.dim.add(size=size)

    with pytest.raises(StatusError, match=f"this server takes {MAX_TENSOR_BYTES}"):
        from_proto("x", proto, dtype)


def test_numbers_can_be_answered_as_raw_content_and_strings_cannot():
    number, text = to_proto(VALUES["float"], as_content=True), to_proto(VALUES["string"], as_content=True)

    assert (list(number.float_val), text.tensor_content) == ([], b"")
    np.testing.assert_array_equal(from_proto("x", number, number.dtype), VALUES["float"])


def test_another_dtype_is_refused_by_name():
    with pytest.raises(StatusError, match="Input x is expected to be float but string is provided"):
        from_proto("x", tf.make_tensor_proto(["a"]), 1)


@pytest.mark.parametrize("values", [b"\0" * 3, b"\0" * 12], ids=["short", "long"])
def test_content_that_does_not_fill_the_shape_is_refused(values):
    proto = tensor_pb2.TensorProto(dtype=1, tensor_content=values)
    proto.tensor_shape.dim.add(size=2)

    with pytest.raises(StatusError, match="cannot be parsed"):
        from_proto("x", proto, 1)


@pytest.mark.parametrize(("number", "name"), [(1, "float"), (2, "double"), (7, "string"), (19, "half"), (0, "invalid")])
def test_type_names_are_the_protocols(number, name):
    assert type_name(number) == name
