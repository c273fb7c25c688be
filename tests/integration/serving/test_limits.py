"""What a server does with more than it can take."""

from __future__ import annotations

from collections import Counter

import grpc
import numpy as np
import pytest
from tensorflow_serving.apis import prediction_service_pb2_grpc

from model_servers import start_local
from served_models import save_several
from served_requests import predict_request
from serving.server.limits import MAX_CONCURRENT_REQUESTS
from serving.server.options import ServerOptions


@pytest.fixture(scope="module")
def stub(tmp_path_factory):
    """Of a server with two threads that takes messages of at most 10,000 bytes."""
    base = tmp_path_factory.mktemp("models")
    save_several(base / "1")
    arguments = (("grpc.max_receive_message_length", 10_000),)
    local = start_local(ServerOptions("several", base, grpc_threads=2, grpc_channel_arguments=arguments))
    with grpc.insecure_channel(local.target) as channel:
        yield prediction_service_pb2_grpc.PredictionServiceStub(channel)
    assert local.server.close()


def answers_well(stub):
    return list(stub.Predict(predict_request(), timeout=30).outputs["y"].float_val) == [1.0, 2.0]


def test_a_message_that_is_too_large_is_refused_and_the_next_one_answered(stub):
    with pytest.raises(grpc.RpcError) as raised:
        stub.Predict(predict_request("length", {"text": np.array([b"x" * 20_000])}), timeout=30)

    assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert answers_well(stub)


def test_more_requests_than_may_wait_are_refused_and_those_given_up_are_not_run(stub):
    endless = predict_request("slow", {"steps": np.int32(2**31 - 1)})
    calls = [stub.Predict.future(endless, timeout=5) for _ in range(MAX_CONCURRENT_REQUESTS + 44)]
    codes = Counter(call.code() for call in calls)

    assert codes == {
        grpc.StatusCode.RESOURCE_EXHAUSTED: 44,
        grpc.StatusCode.DEADLINE_EXCEEDED: MAX_CONCURRENT_REQUESTS,
    }
    assert answers_well(stub)
