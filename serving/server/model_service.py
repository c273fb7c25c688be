"""ModelService over gRPC: what state versions are in, and another configuration for the server."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

from tensorflow_serving.apis import get_model_status_pb2, model_management_pb2, model_service_pb2_grpc

from serving.server.grpc_answers import answer, check_spec, spec_version
from serving.server.status import Code, StatusError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import grpc

    from serving.server.catalog import ModelCatalog
    from serving.server.reload import ConfigReloader

__all__ = ["ModelService"]

log = logging.getLogger(__name__)


class ModelService(model_service_pb2_grpc.ModelServiceServicer):  # type: ignore[misc]
    """GetModelStatus and HandleReloadConfigRequest.

    Args:
        catalog: of the models served.
        reloader: takes configurations.
        stop: set when the server stops, for calls that wait for a model to end.
        max_waiting: calls that may wait at a time. Each holds a thread of the pool that predictions need too.
        count: the server's counters by name, for those who ask what a configuration raised.
    """

    def __init__(
        self,
        catalog: ModelCatalog,
        reloader: ConfigReloader,
        stop: threading.Event,
        max_waiting: int,
        count: Callable[[], Mapping[str, int]],
    ) -> None:
        self._catalog = catalog
        self._reloader = reloader
        self._stop = stop
        self._waiting = threading.BoundedSemaphore(max_waiting)
        self._max_waiting = max_waiting
        self._count = count

    def GetModelStatus(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802 - the protocol's name
        """The states of a model's versions."""
        return answer(context, lambda: self._status(request))

    def HandleReloadConfigRequest(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802 - as above
        """Take a configuration, and answer when every model that is new has a version."""
        return answer(context, lambda: self._reload(request, context))

    def _status(self, request: Any) -> Any:
        check_spec(request.model_spec)
        response = get_model_status_pb2.GetModelStatusResponse()
        # A label is ignored here and all versions are listed: TensorFlow Serving does so.
        for state in self._catalog.states(request.model_spec.name, spec_version(request.model_spec)):
            entry = response.model_version_status.add(version=state.version, state=int(state.state))
            entry.status.error_code = int(state.code)
            entry.status.error_message = state.message
        return response

    def _reload(self, request: Any, context: grpc.ServicerContext) -> Any:
        if request.config.WhichOneof("config") != "model_config_list":
            raise StatusError(
                Code.INVALID_ARGUMENT,
                "ServerModelConfig type not supported by HandleReloadConfigRequest. Only ModelConfigList is currently "
                "supported",
            )
        before = self._count()
        if not self._waiting.acquire(blocking=False):
            raise StatusError(
                Code.RESOURCE_EXHAUSTED, f"{self._max_waiting} other requests wait for their models already"
            )
        try:
            self._reloader.reload(request.config, lambda: self._stop.is_set() or not context.is_active())
        except StatusError as error:
            log.warning("a configuration is not taken: %s: %s", error.code.name, error.message)
            raise
        finally:
            self._waiting.release()
        response = model_management_pb2.ReloadConfigResponse()
        response.status.error_code = int(Code.OK)
        after = self._count()
        for name in request.metric_names:
            if name in after:
                response.metric.add(name=name, int64_value_increase=after[name] - before[name])
        return response
