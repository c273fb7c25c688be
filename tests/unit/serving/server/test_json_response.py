import json

import numpy as np
import pytest

from serving.server.json_response import format_error, format_outputs, format_status
from serving.server.status import Code, StatusError
from serving.server.versions import State, VersionState


def objects(*values):
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


@pytest.mark.parametrize(
    ("outputs", "row", "columns"),
    [
        pytest.param({"y": np.float32([0.1, 2])}, [0.1, 2.0], [0.1, 2.0], id="one output"),
        pytest.param(
            {"y": np.float32([0.1]), "n": np.int64([7])},
            [{"y": 0.1, "n": 7}],
            {"y": [0.1], "n": [7]},
            id="two outputs",
        ),
        pytest.param({"y": np.zeros((0, 3), np.float32)}, [], [], id="no batch"),
        pytest.param({"y": np.zeros((2, 0), np.float32)}, [[], []], [[], []], id="no values"),
        pytest.param({"y": np.array([True])}, [True], [True], id="bool"),
        pytest.param({"y": np.uint64([2**64 - 1])}, [2**64 - 1], [2**64 - 1], id="uint64"),
        pytest.param({"y": np.float64([0.1 + 0.2])}, [0.1 + 0.2], [0.1 + 0.2], id="double"),
        pytest.param({"y": objects(b"a\xc3\xa9")}, ["aé"], ["aé"], id="text"),
        pytest.param({"y_bytes": objects(b"\0")}, [{"b64": "AA=="}], [{"b64": "AA=="}], id="bytes"),
    ],
)
def test_outputs(outputs, row, columns):
    assert json.loads(format_outputs(outputs, row=True)) == {"predictions": row}
    assert json.loads(format_outputs(outputs, row=False)) == {"outputs": columns}


def test_a_float_comes_back_the_same():
    values = np.random.default_rng(0).standard_normal(1000).astype(np.float32) * np.float32(1e-3)

    answer = json.loads(format_outputs({"y": values}, row=True))["predictions"]

    assert np.array_equal(np.float32(answer), values)
    assert max(len(repr(value)) for value in answer) < 16


def test_not_a_number_is_bare():
    text = format_outputs({"y": np.float32([np.nan, np.inf, -np.inf])}, row=False).decode()

    assert "".join(text.split()) == '{"outputs":[NaN,Infinity,-Infinity]}'


def test_text_that_is_not_utf8_leaves_as_it_came():
    assert b'"\xff\xfe"' in format_outputs({"y": objects(b"\xff\xfe")}, row=True)


def test_a_scalar_output_has_a_columnar_form_only():
    outputs = {"y": np.asarray(np.float32(2))}

    assert json.loads(format_outputs(outputs, row=False)) == {"outputs": 2.0}
    with pytest.raises(StatusError, match="Tensor name: y has no shape information"):
        format_outputs(outputs, row=True)


def test_rows_need_one_batch_size():
    with pytest.raises(StatusError, match="inconsistent batch size"):
        format_outputs({"a": np.zeros(2), "b": np.zeros(3)}, row=True)


@pytest.mark.parametrize("dtype", [np.float16, np.complex64, np.uint16])
def test_a_type_without_a_json_form(dtype):
    with pytest.raises(StatusError, match="has no JSON form") as raised:
        format_outputs({"y": np.zeros(1, dtype)}, row=True)

    assert raised.value.http_status == 400


def test_status():
    states = [VersionState(2, State.END, Code.NOT_FOUND, "gone"), VersionState(1, State.AVAILABLE)]

    assert json.loads(format_status(states))["model_version_status"] == [
        {"version": "2", "state": "END", "status": {"error_code": "NOT_FOUND", "error_message": "gone"}},
        {"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}},
    ]


def test_an_error_is_its_message():
    assert json.loads(format_error('a "quoted" word')) == {"error": 'a "quoted" word'}
