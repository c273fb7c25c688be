"""The messages of TensorFlow Serving's gRPC API that the client needs.

They are declared here, since the generated ones of ``tensorflow_serving.apis`` import TensorFlow: 5 to 10 s and some
500 MB for a client that sends bytes. Names and field numbers are those of the protocol's own files; fields that the
client does not read are left out, which protobuf allows. They live in a pool of their own, so that a process may import
TensorFlow besides.

Source: ``tensorflow_serving/apis/*.proto``, ``tensorflow/core/framework/{tensor,tensor_shape,types}.proto`` and
``tensorflow/core/example/{example,feature}.proto``.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from google.protobuf import (  # type: ignore[import-untyped]
    descriptor_pb2,
    descriptor_pool,
    message_factory,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["DATA_TYPES", "array_of", "float_tensor", "image_example", "message", "string_tensor"]

#: DataType, by number.
DATA_TYPES = {
    1: "DT_FLOAT",
    2: "DT_DOUBLE",
    3: "DT_INT32",
    4: "DT_UINT8",
    5: "DT_INT16",
    6: "DT_INT8",
    7: "DT_STRING",
    8: "DT_COMPLEX64",
    9: "DT_INT64",
    10: "DT_BOOL",
    14: "DT_BFLOAT16",
    17: "DT_UINT16",
    18: "DT_COMPLEX128",
    19: "DT_HALF",
    20: "DT_RESOURCE",
    21: "DT_VARIANT",
    22: "DT_UINT32",
    23: "DT_UINT64",
}
FLOAT, STRING = 1, 7
#: Of the types that the project's outputs have: numpy's little-endian type and the field of the values.
NUMERIC = {"DT_FLOAT": ("<f4", "float_val"), "DT_INT64": ("<i8", "int64_val"), "DT_INT32": ("<i4", "int_val")}

#: One line a field: type, name, number. Enumerations are declared as the integers they travel as.
SCHEMA = {
    "Dim": "int64 size 1",
    "TensorShapeProto": "repeated Dim dim 2; bool unknown_rank 3",
    "TensorProto": """int32 dtype 1; TensorShapeProto tensor_shape 2; bytes tensor_content 4;
        repeated float float_val 5; repeated int32 int_val 7; repeated bytes string_val 8;
        repeated int64 int64_val 10""",
    "Int64Value": "int64 value 1",
    "ModelSpec": "string name 1; Int64Value version 2; string signature_name 3; string version_label 4",
    "InputsEntry": "string key 1; TensorProto value 2",
    "PredictRequest": "ModelSpec model_spec 1; map InputsEntry inputs 2; repeated string output_filter 3",
    "PredictResponse": "map InputsEntry outputs 1; ModelSpec model_spec 2",
    "GetModelStatusRequest": "ModelSpec model_spec 1",
    "StatusProto": "int32 error_code 1; string error_message 2",
    "ModelVersionStatus": "int64 version 1; int32 state 2; StatusProto status 3",
    "GetModelStatusResponse": "repeated ModelVersionStatus model_version_status 1",
    "GetModelMetadataRequest": "ModelSpec model_spec 1; repeated string metadata_field 2",
    "Any": "string type_url 1; bytes value 2",
    "MetadataEntry": "string key 1; Any value 2",
    "GetModelMetadataResponse": "ModelSpec model_spec 1; map MetadataEntry metadata 2",
    "TensorInfo": "string name 1; int32 dtype 2; TensorShapeProto tensor_shape 3",
    "TensorInfoEntry": "string key 1; TensorInfo value 2",
    "SignatureDef": "map TensorInfoEntry inputs 1; map TensorInfoEntry outputs 2; string method_name 3",
    "SignatureDefEntry": "string key 1; SignatureDef value 2",
    "SignatureDefMap": "map SignatureDefEntry signature_def 1",
    "BytesList": "repeated bytes value 1",
    "Feature": "BytesList bytes_list 1",
    "FeatureEntry": "string key 1; Feature value 2",
    "Features": "map FeatureEntry feature 1",
    "Example": "Features features 1",
}
PACKAGE = "quartet.wire"
FIELD = re.compile(r"\s*(?:(repeated|map)\s+)?(\w+)\s+(\w+)\s+(\d+)\s*")


def message(name: str) -> Any:
    """The class of a message."""
    return _classes()[name]


def string_tensor(values: list[bytes]) -> Any:
    """A string tensor of shape [N]."""
    tensor = message("TensorProto")(dtype=STRING, string_val=values)
    tensor.tensor_shape.dim.add(size=len(values))
    return tensor


def float_tensor(values: NDArray[np.float32]) -> Any:
    """A float tensor of the array's shape."""
    tensor = message("TensorProto")(dtype=FLOAT, tensor_content=values.astype("<f4").tobytes())
    for size in values.shape:
        tensor.tensor_shape.dim.add(size=size)
    return tensor


def image_example(image: bytes) -> bytes:
    """A serialised tf.Example with the one feature ``image_bytes``."""
    example = message("Example")()
    example.features.feature["image_bytes"].bytes_list.value.append(image)
    return bytes(example.SerializeToString())


def array_of(tensor: Any) -> NDArray[Any]:
    """A tensor's values as an array, strings as an object array of bytes.

    Raises:
        ValueError: its dtype is none the project's outputs have, or its values do not fill its shape.
    """
    shape = tuple(dim.size for dim in tensor.tensor_shape.dim)
    name = DATA_TYPES.get(tensor.dtype, str(tensor.dtype))
    if name == "DT_STRING":
        strings = np.empty(len(tensor.string_val), dtype=object)
        strings[:] = list(tensor.string_val)
        return strings.reshape(shape)
    if name not in NUMERIC:
        raise ValueError(f"outputs of type {name} are not read here")
    dtype, field = NUMERIC[name]
    if tensor.tensor_content:
        return np.frombuffer(tensor.tensor_content, dtype=dtype).reshape(shape)
    values = np.array(getattr(tensor, field), dtype=dtype)
    # A tensor may leave out the repetitions of its last value.
    missing = int(np.prod(shape)) - len(values)
    return (np.pad(values, (0, missing), mode="edge") if len(values) and missing > 0 else values).reshape(shape)


@cache
def _classes() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name="quartet_wire.proto", package=PACKAGE, syntax="proto3")
    for name, fields in SCHEMA.items():
        # protobuf wants a map's entry inside the one message that uses it.
        if not name.endswith("Entry"):
            _declare(file.message_type.add(name=name), fields)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    names = [name for name in SCHEMA if not name.endswith("Entry")]
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{PACKAGE}.{name}")) for name in names}


def _declare(target: Any, fields: str) -> None:
    kinds = descriptor_pb2.FieldDescriptorProto
    for text in fields.split(";"):
        match = FIELD.fullmatch(text)
        if match is None:
            raise ValueError(f"not a field: {text!r}")
        rule, kind, name, number = match.groups()
        many = kinds.LABEL_REPEATED if rule else kinds.LABEL_OPTIONAL
        field = target.field.add(name=name, number=int(number), label=many)
        if rule == "map":
            entry = f"{''.join(part.title() for part in name.split('_'))}Entry"
            nested = target.nested_type.add(name=entry)
            nested.options.map_entry = True
            _declare(nested, SCHEMA[kind])
            field.type, field.type_name = kinds.TYPE_MESSAGE, f".{PACKAGE}.{target.name}.{entry}"
        elif kind in SCHEMA:
            field.type, field.type_name = kinds.TYPE_MESSAGE, f".{PACKAGE}.{kind}"
        else:
            field.type = kinds.Type.Value(f"TYPE_{kind.upper()}")
