"""Contract, section 5: errors."""

import re

import numpy as np
import pytest

from protocols import call
from served_requests import post, predict_request


def grpc_error(ask_grpc, request):
    answer = call(ask_grpc.prediction.Predict, request, lambda response: response)
    return answer.status, answer.text


def with_spec(request, version=None, label=None, name=None):
    if version is not None:
        request.model_spec.version.value = version
    if label is not None:
        request.model_spec.version_label = label
    if name is not None:
        request.model_spec.name = name
    return request


def without_spec():
    request = predict_request()
    request.ClearField("model_spec")
    return request


@pytest.mark.parametrize(
    ("request_", "status", "message"),
    [
        pytest.param(without_spec(), "INVALID_ARGUMENT", "Missing ModelSpec", id="no model spec"),
        pytest.param(
            with_spec(predict_request("half"), name=""),
            "INVALID_ARGUMENT",
            "ModelSpec has no name specified.",
            id="no name",
        ),
        pytest.param(
            predict_request(model="nobody"), "NOT_FOUND", "Servable not found for request: Latest(nobody)", id="model"
        ),
        pytest.param(
            with_spec(predict_request(), version=7),
            "NOT_FOUND",
            "Servable not found for request: Specific(several, 7)",
            id="version",
        ),
        pytest.param(
            with_spec(predict_request(), label="x"),
            "INVALID_ARGUMENT",
            "Unrecognized servable version label: x",
            id="label",
        ),
        pytest.param(
            predict_request("x"), "FAILED_PRECONDITION", 'Serving signature key "x" not found.', id="signature"
        ),
        pytest.param(
            predict_request("add", {"x": np.float32([[1, 2]]), "z": 1}),
            "INVALID_ARGUMENT",
            "Sent extra: {z}. Missing but required: {n}.",
            id="names",
        ),
        pytest.param(
            predict_request(output_filter=["q"]), "INVALID_ARGUMENT", "not found in signature: q", id="unknown output"
        ),
        pytest.param(
            predict_request(output_filter=["y", "y"]), "INVALID_ARGUMENT", "duplicate output", id="repeated output"
        ),
        pytest.param(
            predict_request(inputs={"x": ["a"]}), "INVALID_ARGUMENT", "to be float but string is provided", id="dtype"
        ),
        pytest.param(
            predict_request("positive", {"x": np.float32([-1])}), "INVALID_ARGUMENT", "not positive", id="the graph"
        ),
    ],
)
def test_grpc_errors_have_tensorflows_code_and_text(ask_grpc, request_, status, message):
    answered, text = grpc_error(ask_grpc, request_)

    assert (answered, message in text) == (status, True), text


@pytest.mark.parametrize(
    ("body", "arguments", "status", "message"),
    [
        pytest.param({}, {"model": "nobody"}, 404, "Servable not found for request: Latest(nobody)", id="model"),
        pytest.param({}, {"choice": "/versions/7"}, 404, "Specific(several, 7)", id="version"),
        pytest.param({}, {"choice": "/labels/x"}, 400, "Unrecognized servable version label: x", id="label"),
        pytest.param({"inputs": {"z": 1}}, {}, 400, "x", id="names"),
        pytest.param({"inputs": ["a"]}, {}, 400, "not of expected type: float", id="dtype"),
        pytest.param({"signature_name": "halves", "inputs": [1]}, {}, 501, "half", id="no JSON form"),
        pytest.param({"signature_name": "positive", "inputs": [-1]}, {}, 400, "not positive", id="the graph"),
    ],
)
def test_rest_errors_have_the_codes_http_status_and_only_a_message(ask_rest, body, arguments, status, message):
    answer = post(ask_rest, body, **arguments)

    assert (answer.status_code, list(answer.json())) == (status, ["error"])
    assert message in answer.json()["error"]


def test_an_unknown_signature_is_another_error_over_rest(ask_grpc, ask_rest):
    status, text = grpc_error(ask_grpc, predict_request("nothing"))
    answer = post(ask_rest, {"signature_name": "nothing", "instances": [1]})

    assert (status, answer.status_code) == ("FAILED_PRECONDITION", 400)
    assert text != answer.json()["error"]


def test_over_grpc_a_text_is_cut_at_1024_characters_and_marked(ask_grpc):
    _, text = grpc_error(ask_grpc, predict_request("s" * 3000))

    assert re.fullmatch(r".{1024}\.\.\.TRUNCATED", text)
