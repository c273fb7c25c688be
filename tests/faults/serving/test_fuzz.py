"""Ten thousand requests that nobody would send: the server answers all of them, and goes on."""

from __future__ import annotations

import http.client
import os
from collections import Counter
from pathlib import Path

import grpc
import numpy as np
import pytest
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)

from fuzzers import mutated, random_body, random_message, random_path
from model_servers import ProcessLauncher
from served_models import CLASSIFY, REGRESS, save_several, save_shared
from served_requests import (
    classification_request,
    multi_inference_request,
    predict_request,
    regression_request,
)

pytestmark = pytest.mark.slow

REQUESTS = 5000
#: Growth of resident memory that is left when nothing grows: buffers of their own size for each thread.
SLACK_MIB = 60
PREDICTION = "/tensorflow.serving.PredictionService/"
METHODS = {
    PREDICTION + "Predict": predict_pb2.PredictRequest,
    PREDICTION + "Classify": classification_pb2.ClassificationRequest,
    PREDICTION + "Regress": regression_pb2.RegressionRequest,
    PREDICTION + "MultiInference": inference_pb2.MultiInferenceRequest,
    PREDICTION + "GetModelMetadata": get_model_metadata_pb2.GetModelMetadataRequest,
    "/tensorflow.serving.ModelService/GetModelStatus": get_model_status_pb2.GetModelStatusRequest,
}
VALID = [
    (PREDICTION + "Predict", predict_request()),
    (PREDICTION + "Predict", predict_request("add", {"x": np.float32([[1, 2]]), "n": np.int64([3])})),
    (PREDICTION + "Predict", predict_request("echo", {"text": np.array([b"a", b"b"])})),
    (PREDICTION + "Classify", classification_request("classify", 0.25)),
    (PREDICTION + "Regress", regression_request("regress", 0.25)),
    (PREDICTION + "MultiInference", multi_inference_request(("classify", CLASSIFY), ("regress", REGRESS))),
]
BODIES = [
    {"instances": [1, 2.5]},
    {"signature_name": "add", "instances": [{"x": [1, 2], "n": 3}]},
    {"signature_name": "echo", "inputs": {"text": ["a", {"b64": "AAEC"}]}},
    {"signature_name": "longs", "inputs": [[1, 2], [3, 4]]},
    {"signature_name": "classify", "examples": [{"x": 0.25}], "context": {"y": "a"}},
    {"signature_name": "kinds", "examples": [{"i": 1, "f": [0.5], "s": {"b64": "AAEC"}}]},
]
#: What the contract has an error for. gRPC itself says INTERNAL for bytes that are no message of the method.
GRPC_CODES = {"OK", "INVALID_ARGUMENT", "NOT_FOUND", "FAILED_PRECONDITION", "UNIMPLEMENTED"}
REST_STATUSES = {200, 400, 404, 501}


@pytest.fixture(scope="module", params=["plain", "batching"])
def server(request, tmp_path_factory):
    """A server of both models as a process of its own."""
    folder = tmp_path_factory.mktemp("fuzz")
    save_several(folder / "several" / "3")
    save_shared(folder / "shared" / "1")
    config = folder / "models.config"
    entries = [
        f'config {{ name: "{name}" base_path: "{folder / name}" model_platform: "tensorflow" }}'
        for name in ("several", "shared")
    ]
    config.write_text(f"model_config_list {{ {' '.join(entries)} }}")
    flags = ["--enable_batching"] if request.param == "batching" else []
    launcher = ProcessLauncher(folder)
    server = launcher.start(f"--model_config_file={config}", *flags)
    server.wait_for_port()
    yield server
    launcher.end()


def resident_mib(server):
    pages = int(Path(f"/proc/{server.process.pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def answers_well(server):
    with grpc.insecure_channel(server.target) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        response = stub.Predict(predict_request(), timeout=30)
    return list(response.outputs["y"].float_val) == [1.0, 2.0]


def without_growth(server, send, rng):
    """Send half, then the other half: what the first one needed is there for the second."""
    outcomes = Counter(send(rng) for _ in range(REQUESTS // 4))
    before = resident_mib(server)
    outcomes += Counter(send(rng) for _ in range(REQUESTS // 4))
    assert server.process.poll() is None, server.output
    assert resident_mib(server) - before < SLACK_MIB
    assert answers_well(server)
    return outcomes


def test_messages_of_any_content_are_answered_with_a_code_of_the_contract(server):
    with grpc.insecure_channel(server.target) as channel:
        calls = {method: channel.unary_unary(method) for method in METHODS}

        def send(rng):
            if rng.random() < 0.5:
                method = list(METHODS)[int(rng.integers(0, len(METHODS)))]
                message = random_message(rng, METHODS[method]())
                if rng.random() < 0.5 and "MultiInference" not in method:
                    message.model_spec.name = "several"
                    message.model_spec.ClearField("version")
                data = message.SerializeToString()
            else:
                method, request = VALID[int(rng.integers(0, len(VALID)))]
                data = mutated(rng, request.SerializeToString())
            try:
                calls[method](data, timeout=20)
            except grpc.RpcError as error:
                if error.code() is grpc.StatusCode.INTERNAL:
                    return f"INTERNAL: {error.details()}"
                return error.code().name
            return "OK"

        outcomes = without_growth(server, send, np.random.default_rng(1))

    assert set(outcomes) - GRPC_CODES <= {"INTERNAL: Exception deserializing request!"}, outcomes
    assert {"OK", "INVALID_ARGUMENT", "NOT_FOUND"} <= set(outcomes)


def test_requests_of_any_form_are_answered_with_a_status_of_the_contract(server):
    def send(rng):
        connection = http.client.HTTPConnection("127.0.0.1", server.rest_port, timeout=20)
        verb = ("POST", "POST", "POST", "GET", "PUT", "DELETE", "OPTIONS")[int(rng.integers(0, 7))]
        action = ("predict", "classify", "regress")[int(rng.integers(0, 3))]
        path = f"/v1/models/several:{action}" if rng.random() < 0.6 else random_path(rng)
        body = random_body(rng, BODIES)
        headers = {"Content-Encoding": "gzip"} if rng.random() < 0.1 else {}
        if rng.random() < 0.1:
            headers["Content-Type"] = "text/plain; charset=nonsense"
        try:
            connection.request(verb, path, body, headers)
            answer = connection.getresponse()
            answer.read()
            return answer.status
        finally:
            connection.close()

    outcomes = without_growth(server, send, np.random.default_rng(2))

    assert set(outcomes) <= REST_STATUSES, outcomes
    assert {200, 400, 404} <= set(outcomes)
    assert "ERROR serving.server" not in server.output
