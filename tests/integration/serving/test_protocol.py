"""TensorFlow Serving's contract over both protocols, item by item."""

from __future__ import annotations

import base64
import gzip
import json
import re

import grpc
import numpy as np
import pytest
import requests
import tensorflow as tf
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)


@pytest.fixture(scope="module")
def channel(several_server):
    with grpc.insecure_channel(f"{several_server.host}:{several_server.grpc_port}") as channel:
        yield channel


@pytest.fixture(scope="module")
def prediction(channel):
    return prediction_service_pb2_grpc.PredictionServiceStub(channel)


@pytest.fixture(scope="module")
def models_service(channel):
    return model_service_pb2_grpc.ModelServiceStub(channel)


def make_request(signature="", name="several", version=None, label=None, inputs=None, output_filter=()):
    request = predict_pb2.PredictRequest(output_filter=list(output_filter))
    request.model_spec.name = name
    request.model_spec.signature_name = signature
    if version is not None:
        request.model_spec.version.value = version
    if label is not None:
        request.model_spec.version_label = label
    for key, value in ({"x": np.float32([2, 4])} if inputs is None else inputs).items():
        request.inputs[key].CopyFrom(tf.make_tensor_proto(value))
    return request


def post(server, body, choice="", verb="predict", **arguments):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return requests.post(f"{server.url}{choice}:{verb}", data=data, timeout=20, **arguments)


def test_no_model_is_listed_without_its_name(several_server):
    answer = requests.get(f"{several_server.root}/v1/models", timeout=20)

    assert (answer.status_code, answer.json()) == (400, {"error": "Missing model name in request."})


@pytest.mark.parametrize("path", ["/", "/v2/models/several", "/metrics", "/v1"])
def test_a_path_outside_the_api_gets_a_page_and_not_a_json_error(several_server, path):
    answer = requests.get(several_server.root + path, timeout=20)

    assert answer.status_code == 404
    assert answer.headers["Content-Type"].startswith("text/html")


@pytest.mark.parametrize("verb", ["PUT", "DELETE", "PATCH", "HEAD"])
def test_other_http_verbs_are_malformed_requests(several_server, verb):
    answer = requests.request(verb, several_server.url, timeout=20)

    assert answer.status_code == 400
    assert answer.headers["Content-Type"].startswith("application/json")


@pytest.mark.parametrize(("origin", "status"), [("https://example.org", 200), ("file://x", 400), (None, 400)])
def test_options_is_a_pre_flight_of_web_pages_only(several_server, origin, status):
    headers = {} if origin is None else {"Origin": origin}

    assert requests.options(f"{several_server.url}:predict", headers=headers, timeout=20).status_code == status


def test_the_api_is_found_in_any_case_but_a_verb_in_capitals_is_an_error(several_server):
    url = f"{several_server.root}/V1/Models/several"
    body = json.dumps({"instances": [1.0]})

    assert requests.post(f"{url}:predict", data=body, timeout=20).status_code == 200
    answer = requests.post(f"{url}:PREDICT", data=body, timeout=20)
    assert (answer.status_code, answer.json()["error"][:17]) == (400, "Malformed request")


def test_a_model_name_is_percent_decoded(several_server):
    assert requests.get(f"{several_server.root}/v1/models/sever%61l", timeout=20).status_code == 200


def test_a_gzipped_body_is_inflated(several_server):
    body = gzip.compress(json.dumps({"instances": [3.0]}).encode())

    answer = post(several_server, body, headers={"Content-Encoding": "gzip"})

    assert answer.json() == {"predictions": [1.5]}


def test_a_body_that_is_not_the_gzip_it_claims_to_be_is_a_bad_request(several_server):
    answer = post(several_server, b"no gzip", headers={"Content-Encoding": "gzip"})

    assert (answer.status_code, list(answer.json())) == (400, ["error"])


@pytest.mark.parametrize("choice", ["", "/versions/3"], ids=["latest", "version"])
def test_row_and_columnar_requests_get_their_own_form(several_server, choice):
    assert post(several_server, {"instances": [1, 3.0]}, choice).json() == {"predictions": [0.5, 1.5]}
    assert post(several_server, {"inputs": [1, 3.0]}, choice).json() == {"outputs": [0.5, 1.5]}


def test_several_inputs_and_outputs_go_by_name(several_server):
    rows = [{"x": [1, 2], "n": 3}, {"x": [0.5, 0], "n": 1}]
    columns = {"x": [[1, 2], [0.5, 0]], "n": [3, 1]}

    by_row = post(several_server, {"signature_name": "add", "instances": rows}).json()
    by_column = post(several_server, {"signature_name": "add", "inputs": columns}).json()

    assert by_row == {"predictions": [{"total": 6.0, "n": 3}, {"total": 1.5, "n": 1}]}
    assert by_column == {"outputs": {"total": [6.0, 1.5], "n": [3, 1]}}


def test_extra_inputs_are_ignored_in_columns_and_refused_in_rows(several_server):
    columns = {"signature_name": "add", "inputs": {"x": [[1, 2]], "n": [3], "other": 1}}
    rows = {"signature_name": "add", "instances": [{"x": [1, 2], "n": 3, "other": 1}]}

    assert post(several_server, columns).status_code == 200
    assert post(several_server, rows).status_code == 400


def test_a_string_output_is_base64_only_if_its_name_ends_in_bytes(several_server):
    body = {"signature_name": "echo", "instances": [{"b64": base64.b64encode(b"caf\xc3\xa9").decode()}, "plain"]}

    assert post(several_server, body).json() == {
        "predictions": [
            {"text": "café", "raw_bytes": {"b64": base64.b64encode("café".encode()).decode()}},
            {"text": "plain", "raw_bytes": {"b64": base64.b64encode(b"plain").decode()}},
        ]
    }


def test_not_a_number_is_written_bare(several_server):
    answer = post(several_server, b'{"instances": [NaN, Infinity, -Infinity, 1e300]}')

    assert re.findall(r"-?\w+(?=[,\n\]])", answer.text) == ["NaN", "Infinity", "-Infinity", "Infinity"]


def test_bytes_after_the_first_value_are_ignored(several_server):
    assert post(several_server, b'{"instances": [1.0]} and more').json() == {"predictions": [0.5]}


@pytest.mark.parametrize(
    ("signature", "message"),
    [("scalar", "has no shape information"), ("ragged", "inconsistent batch size")],
)
def test_rows_need_outputs_with_one_batch(several_server, signature, message):
    row = post(several_server, {"signature_name": signature, "instances": [1.0, 3.0]})
    columns = post(several_server, {"signature_name": signature, "inputs": [1.0, 3.0]})

    assert row.status_code == 400
    assert message in row.json()["error"]
    assert columns.status_code == 200


def test_malformed_json_for_an_unknown_model_is_400_and_well_formed_json_404(several_server):
    url = f"{several_server.root}/v1/models/nobody:predict"

    assert requests.post(url, data=b"{", timeout=20).status_code == 400
    answer = requests.post(url, data=b"{}", timeout=20)
    assert (answer.status_code, answer.json()["error"]) == (404, "Servable not found for request: Latest(nobody)")


@pytest.mark.parametrize(
    ("body", "choice", "status", "message"),
    [
        pytest.param(b"", "", 400, "The document is empty", id="empty"),
        pytest.param(b"[1]", "", 400, "must be an object", id="no object"),
        pytest.param(b'{"signature_name": 1}', "", 400, "must be a string", id="signature no string"),
        pytest.param(b'{"signature_name": "x"}', "", 400, '"x" not found in signature def', id="unknown signature"),
        pytest.param(b"{}", "", 400, "exactly one of 'instances' and 'inputs'", id="no tensors"),
        pytest.param(b'{"instances": ["x"]}', "", 400, "not of expected type: float", id="wrong type"),
        pytest.param(b'{"instances": [[1]]}', "", 400, "shape [-1] but [1, 1] is", id="wrong rank"),
        pytest.param(b"{}", "/versions/9", 404, "Specific(several, 9)", id="unknown version"),
        pytest.param(b"{}", "/labels/stable", 400, "Unrecognized servable version label: stable", id="unknown label"),
        pytest.param(b"{}", f"/versions/{2**63}", 400, "Failed to convert version", id="version too large"),
        pytest.param(
            b'{"signature_name": "halves", "instances": [1]}', "", 501, "no JSON form of the type half", id="half"
        ),
    ],
)
def test_rest_errors(several_server, body, choice, status, message):
    answer = post(several_server, body, choice)

    assert answer.status_code == status
    assert list(answer.json()) == ["error"]
    assert message in answer.json()["error"]


@pytest.mark.parametrize("verb", ["classify", "regress"])
def test_a_model_without_such_a_signature_does_not_classify_or_regress(several_server, verb):
    answer = post(several_server, {"examples": [{"x": 1}]}, verb=verb)

    assert answer.status_code == 400
    assert f"tensorflow/serving/{verb}" in answer.json()["error"]


def test_status_shows_strings_for_numbers_and_empty_fields(several_server):
    for choice in ("", "/versions/3"):
        assert requests.get(several_server.url + choice, timeout=20).json() == {
            "model_version_status": [
                {"version": "3", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
            ]
        }


def test_status_ignores_a_label_and_metadata_does_not(several_server):
    assert requests.get(f"{several_server.url}/labels/any", timeout=20).status_code == 200
    assert requests.get(f"{several_server.url}/labels/any/metadata", timeout=20).status_code == 400


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("nobody", "Could not find any versions of model nobody"),
        ("several/versions/9", "Could not find version 9 of model several"),
        ("nobody/metadata", "Servable not found for request: Latest(nobody)"),
        ("several/versions/9/metadata", "Servable not found for request: Specific(several, 9)"),
    ],
)
def test_what_is_not_there_has_neither_status_nor_metadata(several_server, path, message):
    answer = requests.get(f"{several_server.root}/v1/models/{path}", timeout=20)

    assert (answer.status_code, answer.json()) == (404, {"error": message})


def test_metadata_nests_signature_def_twice(several_server):
    document = requests.get(f"{several_server.url}/metadata", timeout=20).json()

    assert document["model_spec"] == {"name": "several", "signature_name": "", "version": "3"}
    signatures = document["metadata"]["signature_def"]["signature_def"]
    assert "__saved_model_init_op" in signatures
    half = signatures["half"]
    assert half["method_name"] == "tensorflow/serving/predict"
    assert half["inputs"]["x"]["dtype"] == "DT_FLOAT"
    assert half["inputs"]["x"]["tensor_shape"] == {"dim": [{"size": "-1", "name": ""}], "unknown_rank": False}


def test_grpc_answers_in_typed_fields_with_the_resolved_version(prediction):
    response = prediction.Predict(make_request(), timeout=20)

    assert response.model_spec.version.value == 3
    assert (response.model_spec.name, response.model_spec.signature_name) == ("several", "serving_default")
    assert list(response.outputs["y"].float_val) == [1.0, 2.0]
    assert not response.outputs["y"].tensor_content


def test_grpc_takes_typed_fields_and_raw_content(prediction):
    raw = make_request()
    typed = make_request(inputs={})
    typed.inputs["x"].CopyFrom(tf.make_tensor_proto(np.float32([0, 0])))
    typed.inputs["x"].ClearField("tensor_content")
    typed.inputs["x"].float_val.extend([2, 4])
    assert raw.inputs["x"].tensor_content

    for request in (raw, typed):
        assert list(prediction.Predict(request, timeout=20).outputs["y"].float_val) == [1.0, 2.0]


def test_output_filter_chooses_outputs(prediction):
    inputs = {"x": np.float32([[1, 2]]), "n": np.int64([3])}

    every = prediction.Predict(make_request("add", inputs=inputs), timeout=20)
    one = prediction.Predict(make_request("add", inputs=inputs, output_filter=["n"]), timeout=20)

    assert set(every.outputs) == {"total", "n"}
    assert set(one.outputs) == {"n"}


def test_a_type_without_a_json_form_works_over_grpc(prediction):
    response = prediction.Predict(make_request("halves", inputs={"x": np.float16([1, 2])}), timeout=20)

    assert tf.make_ndarray(response.outputs["y"]).tolist() == [1.0, 2.0]


INVALID, PRECONDITION = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.FAILED_PRECONDITION
NOT_FOUND = grpc.StatusCode.NOT_FOUND


def overfull():
    request = make_request(inputs={})
    request.inputs["x"].dtype = 1
    request.inputs["x"].tensor_shape.dim.add(size=2)
    request.inputs["x"].tensor_content = b"\0" * 12
    return request


@pytest.mark.parametrize(
    ("request_", "code", "message"),
    [
        pytest.param(predict_pb2.PredictRequest(), INVALID, "Missing ModelSpec", id="no model spec"),
        pytest.param(make_request("half", name=""), INVALID, "ModelSpec has no name specified.", id="no name"),
        pytest.param(
            make_request(name="nobody"), NOT_FOUND, "Servable not found for request: Latest(nobody)", id="no model"
        ),
        pytest.param(
            make_request(version=7), NOT_FOUND, "Servable not found for request: Specific(several, 7)", id="no version"
        ),
        pytest.param(make_request(label="x"), INVALID, "Unrecognized servable version label: x", id="unknown label"),
        pytest.param(
            make_request("nothing"), PRECONDITION, 'Serving signature key "nothing" not found.', id="unknown signature"
        ),
        pytest.param(
            make_request(inputs={"z": 1.0}),
            INVALID,
            "Sent extra: {z}. Missing but required: {x}.",
            id="wrong input names",
        ),
        pytest.param(
            make_request(inputs={"x": ["a"]}), INVALID, "to be float but string is provided", id="wrong dtype"
        ),
        pytest.param(overfull(), INVALID, "cannot be parsed", id="content too long"),
        pytest.param(make_request(output_filter=["q"]), INVALID, "not found in signature: q", id="unknown output"),
        pytest.param(make_request(output_filter=["y", "y"]), INVALID, "duplicate", id="repeated output"),
    ],
)
def test_grpc_errors(prediction, request_, code, message):
    with pytest.raises(grpc.RpcError) as raised:
        prediction.Predict(request_, timeout=20)

    assert raised.value.code() is code
    assert message in raised.value.details()


def test_an_unknown_signature_is_another_error_over_rest(several_server, prediction):
    with pytest.raises(grpc.RpcError) as raised:
        prediction.Predict(make_request("nothing"), timeout=20)

    rest = post(several_server, {"signature_name": "nothing", "instances": [1]}).json()["error"]
    assert raised.value.code() is PRECONDITION
    assert rest != raised.value.details()


def test_a_long_error_is_cut(prediction):
    with pytest.raises(grpc.RpcError) as raised:
        prediction.Predict(make_request("s" * 3000), timeout=20)

    assert re.fullmatch(r".{1024}\.\.\.TRUNCATED", raised.value.details())


def test_grpc_status(models_service):
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = "several"

    (entry,) = models_service.GetModelStatus(request, timeout=20).model_version_status

    assert (entry.version, entry.state, entry.status.error_code) == (3, 30, 0)


def test_grpc_status_needs_a_model_that_is_there(models_service):
    request = get_model_status_pb2.GetModelStatusRequest()
    with pytest.raises(grpc.RpcError, match="Missing ModelSpec"):
        models_service.GetModelStatus(request, timeout=20)
    request.model_spec.name = "nobody"
    with pytest.raises(grpc.RpcError, match="Could not find any versions of model nobody"):
        models_service.GetModelStatus(request, timeout=20)


@pytest.mark.parametrize("fields", [[], ["other"], ["signature_def", "other"]])
def test_metadata_knows_only_signature_def(prediction, fields):
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=fields)
    request.model_spec.name = "several"

    with pytest.raises(grpc.RpcError) as raised:
        prediction.GetModelMetadata(request, timeout=20)

    assert raised.value.code() is INVALID


def test_a_multi_inference_needs_a_task(prediction):
    with pytest.raises(grpc.RpcError, match="Missing ModelSpec") as raised:
        prediction.MultiInference(inference_pb2.MultiInferenceRequest(), timeout=20)

    assert raised.value.code() is INVALID


@pytest.mark.parametrize(
    ("call", "message"),
    [("Classify", classification_pb2.ClassificationRequest), ("Regress", regression_pb2.RegressionRequest)],
)
def test_grpc_classify_and_regress_need_their_signature(prediction, call, message):
    request = message()
    request.model_spec.name = "several"

    with pytest.raises(grpc.RpcError) as raised:
        getattr(prediction, call)(request, timeout=20)

    assert raised.value.code() is INVALID


def test_a_request_larger_than_grpcs_own_limit_is_taken(several_server, prediction):
    text = b"x" * (5 * 2**20)

    response = prediction.Predict(make_request("length", inputs={"text": np.array([text])}), timeout=20)
    body = {"signature_name": "length", "instances": [{"b64": base64.b64encode(text).decode()}]}

    assert list(response.outputs["length"].int_val) == [len(text)]
    assert post(several_server, body).json() == {"predictions": [len(text)]}
