"""The standard gRPC health service, for probes and load balancers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from grpc_health.v1 import health, health_pb2, health_pb2_grpc  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from collections.abc import Callable

    import grpc

__all__ = ["SERVICES", "add_health_service"]

#: The server as a whole, and TensorFlow Serving's names for its two services.
SERVICES = (health.OVERALL_HEALTH, "ModelService", "PredictionService")


class _Health(health.HealthServicer):  # type: ignore[misc]
    """Ends the calls of its watchers too: a stop would wait for them until its grace is over."""

    def __init__(self) -> None:
        super().__init__()
        self._watchers: list[Callable[[Any], None]] = []

    def Watch(  # noqa: N802 - the protocol's name
        self, request: Any, context: grpc.ServicerContext, send_response_callback: Any = None
    ) -> Any:
        self._watchers.append(send_response_callback)
        context.add_callback(lambda: self._watchers.remove(send_response_callback))
        return super().Watch(request, context, send_response_callback)

    def enter_graceful_shutdown(self) -> None:
        super().enter_graceful_shutdown()
        for send in list(self._watchers):
            # No response is the end of the stream.
            send(None)


def add_health_service(server: grpc.Server) -> Any:
    """Report every service as serving: the ports open only when they are.

    Returns:
        The service, whose ``enter_graceful_shutdown`` reports that they are not any more.
    """
    servicer = _Health()
    for name in SERVICES:
        servicer.set(name, health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    return servicer
