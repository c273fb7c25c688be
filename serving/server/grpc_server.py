"""The gRPC server: its services and its limits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc
from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import ThreadPoolExecutor

    from serving.server.grpc_service import PredictionService
    from serving.server.model_service import ModelService

__all__ = ["build_grpc_server"]

MAX_MESSAGE_BYTES = 2**31 - 1


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
        "grpc.max_receive_message_length": MAX_MESSAGE_BYTES,
        "grpc.max_send_message_length": MAX_MESSAGE_BYTES,
        # Two servers on one port would share its requests in silence.
        "grpc.so_reuseport": 0,
    }
    server = grpc.server(pool, options=list((options | dict(arguments)).items()))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(prediction, server)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(models, server)
    return server
