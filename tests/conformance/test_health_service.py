"""The contract's section 1: the standard gRPC health service, off unless asked for."""

from __future__ import annotations

import threading

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from model_configs import config, model


@pytest.fixture
def check(serve, base):
    """From whether the service is on to a call of its Check and to the server."""
    channels = []

    def start(on):
        server = serve(config(model(base)), enable_health_service=on)
        channels.append(grpc.insecure_channel(server.target))
        stub = health_pb2_grpc.HealthStub(channels[-1])
        return stub, server

    yield start
    for channel in channels:
        channel.close()


@pytest.mark.parametrize("service", ["", "ModelService", "PredictionService"])
def test_the_server_and_both_services_are_serving(check, service):
    stub, _ = check(True)

    answer = stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=20)

    assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_an_unknown_service_is_not_found(check):
    stub, _ = check(True)
    with pytest.raises(grpc.RpcError) as raised:
        stub.Check(health_pb2.HealthCheckRequest(service="x"), timeout=20)

    assert raised.value.code() is grpc.StatusCode.NOT_FOUND


def test_it_is_off_unless_asked_for(check):
    stub, _ = check(False)
    with pytest.raises(grpc.RpcError) as raised:
        stub.Check(health_pb2.HealthCheckRequest(), timeout=20)

    assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_watchers_hear_of_the_stop_and_take_no_thread_from_predictions(check, speak_grpc):
    stub, server = check(True)
    request = health_pb2.HealthCheckRequest(service="PredictionService")
    heard = [[] for _ in range(20)]

    def watch(answers):
        try:
            for answer in stub.Watch(request, timeout=30):
                answers.append(answer.status)
        except grpc.RpcError:
            pass  # the server ends the stream as it stops

    threads = [threading.Thread(target=watch, args=(answers,)) for answers in heard]
    for thread in threads:
        thread.start()
    assert speak_grpc(server).predict([1.0]).ok
    assert server.server.close()
    for thread in threads:
        thread.join(10)

    serving, stopped = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
    assert {tuple(answers) for answers in heard} == {(serving, stopped)}
