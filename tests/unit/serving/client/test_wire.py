"""The messages declared for the client are those of the protocol."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2, types_pb2
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_pb2,
    predict_pb2,
    status_pb2,
)

from serving.client._wire import DATA_TYPES, array_of, float_tensor, image_example, message, string_tensor

OFFICIAL = {
    "TensorProto": tensor_pb2.TensorProto,
    "ModelSpec": model_pb2.ModelSpec,
    "PredictRequest": predict_pb2.PredictRequest,
    "PredictResponse": predict_pb2.PredictResponse,
    "GetModelStatusRequest": get_model_status_pb2.GetModelStatusRequest,
    "GetModelStatusResponse": get_model_status_pb2.GetModelStatusResponse,
    "ModelVersionStatus": get_model_status_pb2.ModelVersionStatus,
    "StatusProto": status_pb2.StatusProto,
    "GetModelMetadataRequest": get_model_metadata_pb2.GetModelMetadataRequest,
    "GetModelMetadataResponse": get_model_metadata_pb2.GetModelMetadataResponse,
    "SignatureDefMap": get_model_metadata_pb2.SignatureDefMap,
    "SignatureDef": meta_graph_pb2.SignatureDef,
    "TensorInfo": meta_graph_pb2.TensorInfo,
}
ENUMERATION, INT32 = 14, 5


def layout(descriptor, names=None):
    """Name to number, type and repetition, and the layout of the messages below; enumerations travel as int32."""
    fields = {}
    for field in descriptor.fields:
        if names is None or field.name in names:
            kind = INT32 if field.type == ENUMERATION else field.type
            wanted = None if names is None else names[field.name][3]
            below = layout(field.message_type, wanted) if field.message_type else None
            fields[field.name] = (field.number, kind, field.is_repeated, below)
    return fields


@pytest.mark.parametrize("name", OFFICIAL)
def test_fields_have_the_protocols_numbers_and_types(name):
    own = layout(message(name).DESCRIPTOR)

    assert own == layout(OFFICIAL[name].DESCRIPTOR, own)


def test_data_types_are_the_protocols():
    assert {number: types_pb2.DataType.Name(number) for number in DATA_TYPES} == DATA_TYPES


def test_a_string_tensor_is_read_by_tensorflow():
    wire = string_tensor([b"\0\xff", b""]).SerializeToString()

    assert tf.make_ndarray(tensor_pb2.TensorProto.FromString(wire)).tolist() == [b"\0\xff", b""]


def test_a_float_tensor_is_read_by_tensorflow():
    values = np.arange(24, dtype=np.float32).reshape(2, 3, 4)[:, ::-1]
    wire = float_tensor(values).SerializeToString()

    np.testing.assert_array_equal(tf.make_ndarray(tensor_pb2.TensorProto.FromString(wire)), values)


def test_an_example_is_read_by_tensorflow():
    example = tf.train.Example.FromString(image_example(b"\0\xff"))

    assert dict(example.features.feature) == {
        "image_bytes": tf.train.Feature(bytes_list=tf.train.BytesList(value=[b"\0\xff"]))
    }


VALUES = {
    "float raw": tf.make_tensor_proto(np.float32([[1, 2], [3, 4]])),
    "float typed": tensor_pb2.TensorProto(dtype=1, float_val=[1, 2]),
    "int64": tf.make_tensor_proto(np.int64([2**40, -1])),
    "int32": tf.make_tensor_proto(np.int32([7])),
    "string": tf.make_tensor_proto([b"a", b"\0"]),
    "repeated": tensor_pb2.TensorProto(dtype=1, float_val=[5]),
    "none": tf.make_tensor_proto(np.zeros((0, 3), np.float32)),
}
VALUES["float typed"].tensor_shape.dim.add(size=2)
VALUES["repeated"].tensor_shape.dim.add(size=3)


@pytest.mark.parametrize("proto", VALUES.values(), ids=VALUES)
def test_tensors_are_read_as_tensorflow_reads_them(proto):
    own = message("TensorProto").FromString(proto.SerializeToString())

    np.testing.assert_array_equal(array_of(own), tf.make_ndarray(proto))


def test_a_type_that_no_output_has_is_refused():
    own = message("TensorProto").FromString(tf.make_tensor_proto(np.complex64([1])).SerializeToString())

    with pytest.raises(ValueError, match="DT_COMPLEX64"):
        array_of(own)
