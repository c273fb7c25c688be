"""Contract, section 6: the gRPC services. Model status has a section of its own."""

import time

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import get_model_metadata_pb2

from model_servers import start_local
from protocols import call
from served_requests import predict_request


def predict(ask_grpc, request, seconds=30):
    return ask_grpc.prediction.Predict(request, timeout=seconds)


def test_the_answer_tells_the_resolved_version_and_the_signature(ask_grpc):
    spec = predict(ask_grpc, predict_request()).model_spec

    assert (spec.name, spec.version.value, spec.signature_name) == ("several", 3, "serving_default")


def test_without_a_filter_all_outputs_come_back(ask_grpc):
    inputs = {"x": np.float32([[1, 2]]), "n": np.int64([3])}

    assert set(predict(ask_grpc, predict_request("add", inputs)).outputs) == {"total", "n"}
    assert set(predict(ask_grpc, predict_request("add", inputs, output_filter=["n"])).outputs) == {"n"}


def test_outputs_are_typed_fields(ask_grpc):
    output = predict(ask_grpc, predict_request()).outputs["y"]

    assert (list(output.float_val), output.tensor_content) == ([1.0, 2.0], b"")


def test_outputs_are_raw_content_if_the_server_was_told_so(built_models):
    from serving.server.options import ServerOptions

    options = ServerOptions("several", built_models / "several", serialize_as_tensor_content=True)
    local = start_local(options)
    try:
        with grpc.insecure_channel(local.target) as channel:
            from tensorflow_serving.apis import prediction_service_pb2_grpc

            stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            output = stub.Predict(predict_request(), timeout=30).outputs["y"]
    finally:
        assert local.server.close()

    assert (list(output.float_val), tf.make_ndarray(output).tolist()) == ([], [1.0, 2.0])


def test_inputs_may_be_typed_fields_or_raw_content(ask_grpc):
    raw, typed = predict_request(), predict_request(inputs={})
    typed.inputs["x"].dtype = 1
    typed.inputs["x"].tensor_shape.dim.add(size=2)
    typed.inputs["x"].float_val.extend([2, 4])

    assert raw.inputs["x"].tensor_content
    for request in (raw, typed):
        assert list(predict(ask_grpc, request).outputs["y"].float_val) == [1.0, 2.0]


def test_the_callers_deadline_is_the_runs_limit(ask_grpc):
    # Without its end, this run alone would take minutes, and those beside it would wait for a processor.
    forever = predict_request("slow", {"steps": np.int32(2**31 - 1)})
    started = time.monotonic()
    answer = call(ask_grpc.prediction.Predict, forever, lambda response: response, 0.5)
    assert (answer.status, time.monotonic() - started < 10) == ("DEADLINE_EXCEEDED", True)

    # More than there are threads: they are free again.
    for _ in range(20):
        call(ask_grpc.prediction.Predict, forever, lambda response: response, 0.05)
    assert list(predict(ask_grpc, predict_request(), 10).outputs["y"].float_val) == [1.0, 2.0]


@pytest.mark.parametrize("fields", [[], ["other"], ["signature_def", "other"]], ids=["none", "other", "both"])
def test_metadata_has_no_field_but_signature_def(ask_grpc, fields):
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=fields)
    request.model_spec.name = "several"

    assert call(ask_grpc.prediction.GetModelMetadata, request, lambda response: response).status == "INVALID_ARGUMENT"


def test_a_message_above_grpcs_own_limit_is_taken_and_answered(ask_grpc):
    text = b"x" * (5 * 2**20)
    request = predict_request("length", {"text": np.array([text])})

    assert list(predict(ask_grpc, request).outputs["length"].int_val) == [len(text)]
