"""The gRPC server and its ModelService."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc
from tensorflow_serving.apis import get_model_status_pb2, model_service_pb2_grpc, prediction_service_pb2_grpc

from serving.server.grpc_answers import answer, check_spec, spec_version
from serving.server.limits import MAX_CONCURRENT_REQUESTS, MAX_REQUEST_BYTES
from serving.server.status import Code, StatusError

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import ThreadPoolExecutor

    from serving.server.catalog import ModelCatalog
    from serving.server.prediction_service import PredictionService

__all__ = ["build_grpc_server"]

MAX_ANSWER_BYTES = 2**31 - 1


def build_grpc_server(catalog: ModelCatalog, prediction: PredictionService, pool: ThreadPoolExecutor) -> grpc.Server:
    """A server with both services, not bound to a port yet; the pool bounds how many requests run at a time."""
    options = [
        ("grpc.max_receive_message_length", MAX_REQUEST_BYTES),
        ("grpc.max_send_message_length", MAX_ANSWER_BYTES),
        # Two servers on one port would share its requests in silence.
        ("grpc.so_reuseport", 0),
    ]
    server = grpc.server(pool, options=options, maximum_concurrent_rpcs=MAX_CONCURRENT_REQUESTS)
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(prediction, server)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(_ModelService(catalog), server)
    return server


class _ModelService(model_service_pb2_grpc.ModelServiceServicer):  # type: ignore[misc]
    def __init__(self, catalog: ModelCatalog) -> None:
        self._catalog = catalog

    def GetModelStatus(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802 - the protocol's name
        return answer(context, lambda: self._status(request))

    def HandleReloadConfigRequest(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: ARG002, N802
        return answer(context, _unimplemented("HandleReloadConfigRequest", "Restart this server with other flags"))

    def _status(self, request: Any) -> Any:
        check_spec(request.model_spec)
        response = get_model_status_pb2.GetModelStatusResponse()
        for state in self._catalog.states(request.model_spec.name, spec_version(request.model_spec)):
            entry = response.model_version_status.add(version=state.version, state=int(state.state))
            entry.status.error_code = int(state.code)
            entry.status.error_message = state.message
        return response


def _unimplemented(call: str, instead: str) -> Callable[[], Any]:
    def refuse() -> Any:
        raise StatusError(Code.UNIMPLEMENTED, f"This server does not implement {call}. {instead}, or use another one.")

    return refuse
