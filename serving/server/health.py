"""The standard gRPC health service, for probes and load balancers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from grpc_health.v1 import health, health_pb2, health_pb2_grpc  # type: ignore[import-untyped]

if TYPE_CHECKING:
    import grpc

__all__ = ["SERVICES", "add_health_service"]

#: The server as a whole, and TensorFlow Serving's names for its two services.
SERVICES = (health.OVERALL_HEALTH, "ModelService", "PredictionService")


def add_health_service(server: grpc.Server) -> Any:
    """Report every service as serving: the ports open only when they are.

    Returns:
        The service, whose ``enter_graceful_shutdown`` reports that they are not any more.
    """
    servicer = health.HealthServicer()
    for name in SERVICES:
        servicer.set(name, health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    return servicer
