"""What a server serves, and where: checked before anything slow is imported."""

from __future__ import annotations

import contextlib
import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ml.errors import ServingError
from serving.server.versions import RetryRule

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["ServerOptions", "port_error", "require_free_ports"]


@dataclass(frozen=True)
class ServerOptions:
    """Settings of one server process.

    ``rest_port`` 0 leaves REST off. ``wait_for_model`` keeps the ports closed until a version is available, as
    TensorFlow Serving does; without it they open at once and requests get NOT_FOUND until one is loaded.
    """

    model_name: str
    model_base_path: Path
    host: str = "127.0.0.1"
    grpc_port: int = 8500
    rest_port: int = 0
    poll_seconds: float = 1.0
    rest_timeout_seconds: float = 30.0
    wait_for_model: bool = True
    retry: RetryRule = field(default_factory=RetryRule)


def require_free_ports(options: ServerOptions) -> None:
    """Find out about a port in use before the model is loaded.

    Raises:
        ServingError: a port is in use, or both are the same.
    """
    if options.grpc_port == options.rest_port:
        raise ServingError(
            f"gRPC and REST are both on port {options.grpc_port}.", "Give --port and --rest_api_port different ports."
        )
    for port in filter(None, (options.grpc_port, options.rest_port)):
        family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
        with contextlib.closing(socket.socket(family)) as probe:
            # As the servers do: a port that a closed connection still holds for a minute is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((options.host, port))
            except OSError as error:
                raise port_error(options.host, port, error) from error


def port_error(host: str, port: int, error: Exception) -> ServingError:
    """The error for an address that cannot be had."""
    return ServingError(
        f"Port {port} on {host} cannot be used: {error}.",
        "Stop the process that has it, or choose another: `serving.grpc_port` and `serving.rest_port` in the settings, "
        "--port and --rest_api_port on the command line.",
    )
