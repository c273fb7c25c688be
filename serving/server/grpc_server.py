"""The gRPC server: its services and its limits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc
from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc

from serving.server.limits import MAX_CONCURRENT_REQUESTS, MAX_REQUEST_BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import ThreadPoolExecutor

    from serving.server.model_service import ModelService
    from serving.server.prediction_service import PredictionService

__all__ = ["build_grpc_server"]

MAX_ANSWER_BYTES = 2**31 - 1


def build_grpc_server(
    prediction: PredictionService,
    models: ModelService,
    pool: ThreadPoolExecutor,
    arguments: Sequence[tuple[str, int | str]] = (),
) -> grpc.Server:
    """A server with both services, not bound to a port yet.

    Args:
        prediction: answers predictions.
        models: answers for the models' states.
        pool: bounds how many requests run at a time.
        arguments: gRPC channel arguments that count more than this server's own.
    """
    options: dict[str, int | str] = {
        "grpc.max_receive_message_length": MAX_REQUEST_BYTES,
        "grpc.max_send_message_length": MAX_ANSWER_BYTES,
        # Two servers on one port would share its requests in silence.
        "grpc.so_reuseport": 0,
    }
    arguments = list((options | dict(arguments)).items())
    server = grpc.server(pool, options=arguments, maximum_concurrent_rpcs=MAX_CONCURRENT_REQUESTS)
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(prediction, server)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(models, server)
    return server
