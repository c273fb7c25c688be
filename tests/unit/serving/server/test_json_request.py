import base64
import math

import numpy as np
import pytest
from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf import meta_graph_pb2

from serving.server.json_request import fill_tensors, parse_body, read_form, read_signature
from serving.server.status import Code, StatusError


def infos(**dtypes):
    return {
        name: meta_graph_pb2.TensorInfo(dtype=types_pb2.DataType.Value(f"DT_{dtype.upper()}"))
        for name, dtype in dtypes.items()
    }


def fill(text, **dtypes):
    return fill_tensors(read_form(parse_body(text.encode())), infos(**(dtypes or {"x": "float"})))


@pytest.mark.parametrize(
    "body",
    [b"", b"  \n", b"{", b"nothing", b"[1]", b"1", b'"x"', b"\xff", b"[" * 100_000, b'{"a": ' + b"9" * 5000 + b"}"],
    ids=["empty", "blank", "open", "word", "list", "number", "string", "no utf-8", "deep", "endless number"],
)
def test_a_body_that_is_no_json_object_is_refused(body):
    with pytest.raises(StatusError) as raised:
        parse_body(body)

    assert raised.value.http_status == 400


def test_what_follows_the_object_is_ignored():
    assert parse_body(b' {"instances": [1]} trailing') == {"instances": [1]}


@pytest.mark.parametrize(
    ("document", "name"),
    [({}, "serving_default"), ({"signature_name": ""}, "serving_default"), ({"signature_name": "x"}, "x")],
)
def test_the_signature_has_a_default(document, name):
    assert read_signature(document) == name


@pytest.mark.parametrize("name", [1, None, ["x"]])
def test_the_signature_must_be_a_string(name):
    with pytest.raises(StatusError, match="must be a string"):
        read_signature({"signature_name": name})


@pytest.mark.parametrize("document", [{}, {"instances": [1], "inputs": [1]}], ids=["neither", "both"])
def test_there_is_one_form(document):
    with pytest.raises(StatusError, match="exactly one of"):
        read_form(document)


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        pytest.param('{"instances": [1, 2]}', (2,), id="rows of scalars"),
        pytest.param('{"instances": [[1, 2]]}', (1, 2), id="rows of lists"),
        pytest.param('{"instances": [{"x": [1, 2]}]}', (1, 2), id="rows by name"),
        pytest.param('{"instances": [[]]}', (1, 0), id="row without elements"),
        pytest.param('{"inputs": 1}', (), id="column of a scalar"),
        pytest.param('{"inputs": [[1], [2]]}', (2, 1), id="column"),
        pytest.param('{"inputs": {"x": [1, 2]}}', (2,), id="column by name"),
        pytest.param('{"inputs": []}', (0,), id="empty column"),
    ],
)
def test_shapes(text, shape):
    assert fill(text)["x"].shape == shape


def test_rows_are_joined_along_a_new_first_dimension():
    tensors = fill('{"instances": [{"x": [1, 2], "n": 3}, {"x": [4, 5], "n": 6}]}', x="float", n="int64")

    assert tensors["x"].tolist() == [[1, 2], [4, 5]]
    assert tensors["n"].tolist() == [3, 6]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param('{"instances": []}', "at least one", id="no instances"),
        pytest.param('{"instances": 1}', "at least one", id="instances no list"),
        pytest.param('{"instances": [1, {"x": 1}]}', "all objects of named inputs, or all plain", id="mixed"),
        pytest.param('{"instances": [{"x": 1, "y": 2}]}', "names the inputs", id="extra name"),
        pytest.param('{"instances": [{"y": 2}]}', "names the inputs", id="missing name"),
        pytest.param('{"instances": [[1, 2], [3]]}', "size 1 at level: 1, expected size: 2", id="ragged"),
        pytest.param('{"instances": [1, [2]]}', "unexpected level: 1, expected < 1", id="too deep"),
        pytest.param('{"instances": [[1], 2]}', "found at level 1, expected at level 2", id="too shallow"),
        pytest.param('{"inputs": {"y": 1}}', "lacks the named input: x", id="column missing"),
        pytest.param('{"instances": [null]}', "not of expected type: float", id="null"),
        pytest.param('{"instances": [[{"y": 1}]]}', "not of expected type: float", id="object as value"),
    ],
)
def test_forms_that_do_not_fit(text, message):
    with pytest.raises(StatusError, match=message) as raised:
        fill(text)

    assert raised.value.code is Code.INVALID_ARGUMENT


@pytest.mark.parametrize("text", ['{"instances": [1]}', '{"inputs": [1]}'])
def test_plain_values_need_a_signature_with_one_input(text):
    with pytest.raises(StatusError, match="has 2 inputs"):
        fill(text, x="float", y="float")


def test_extra_columns_are_ignored():
    assert set(fill('{"inputs": {"x": [1], "other": "?"}}')) == {"x"}


@pytest.mark.parametrize(
    ("dtype", "text", "value"),
    [
        ("float", "1", 1.0),
        ("float", "0.1", float(np.float32(0.1))),
        ("float", "1e300", math.inf),
        ("float", "-1e300", -math.inf),
        ("float", "1e-300", 0.0),
        ("float", "1" + "0" * 400, math.inf),
        ("float", "Infinity", math.inf),
        ("double", "1e300", 1e300),
        ("double", "1e999", math.inf),
        ("int32", str(2**31 - 1), 2**31 - 1),
        ("int16", "7", 7),
        ("int8", "300", 44),
        ("uint8", "-1", 255),
        ("int64", str(-(2**63)), -(2**63)),
        ("uint32", str(2**32 - 1), 2**32 - 1),
        ("uint64", str(2**64 - 1), 2**64 - 1),
        ("bool", "true", True),
        ("string", '"é"', "é".encode()),
        ("string", '{"b64": "AAEC"}', b"\0\1\2"),
        ("string", '{"b64": "AA"}', b"\0"),
        ("string", '{"b64": "AA==\\n"}', b"\0"),
    ],
)
def test_values(dtype, text, value):
    assert fill(f'{{"inputs": {{"x": [{text}]}}}}', x=dtype)["x"].tolist() == [value]


def test_not_a_number_is_a_number():
    assert math.isnan(fill('{"instances": [NaN]}')["x"][0])


@pytest.mark.parametrize(
    ("dtype", "text"),
    [
        ("float", '"1"'),
        ("float", "true"),
        ("int32", "1.0"),
        ("int32", str(2**31)),
        ("int8", str(2**31)),
        ("int64", str(2**63)),
        ("uint32", "-1"),
        ("uint64", str(2**64)),
        ("bool", "1"),
        ("string", "1"),
        ("string", '{"b64": 1}'),
        ("string", '{"b64": "AA==", "x": 1}'),
        ("float", '{"b64": "AA=="}'),
    ],
)
def test_values_of_another_type(dtype, text):
    with pytest.raises(StatusError, match=f"not of expected type: {dtype}|'instances' must be"):
        fill(f'{{"inputs": {{"x": [{text}]}}}}', x=dtype)


@pytest.mark.parametrize("text", ["A", "A===", "%%%%", "AAAA=A"])
def test_undecodable_base64(text):
    with pytest.raises(StatusError, match="Unable to base64 decode"):
        fill(f'{{"instances": [{{"b64": "{text}"}}]}}', x="string")


def test_half_a_surrogate_pair_is_refused():
    with pytest.raises(StatusError, match="surrogate"):
        fill('{"instances": ["\\ud800"]}', x="string")


@pytest.mark.parametrize("dtype", ["half", "bfloat16", "complex64", "uint16"])
def test_types_without_a_json_form_are_unimplemented(dtype):
    with pytest.raises(StatusError) as raised:
        fill('{"instances": [1]}', x=dtype)

    assert (raised.value.code, raised.value.http_status) == (Code.UNIMPLEMENTED, 501)


def test_offending_json_is_quoted_in_part():
    with pytest.raises(StatusError) as raised:
        fill(f'{{"instances": ["{"x" * 10_000}"]}}')

    assert len(raised.value.message) < 400


def test_a_request_of_many_images_keeps_their_bytes():
    images = [bytes([seed]) * 1000 for seed in range(64)]
    rows = ",".join(f'{{"b64": "{base64.b64encode(image).decode()}"}}' for image in images)

    assert fill(f'{{"instances": [{rows}]}}', image_bytes="string")["image_bytes"].tolist() == images
