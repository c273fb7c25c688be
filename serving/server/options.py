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

__all__ = ["ServerOptions", "check_options", "port_error", "require_free_ports", "socket_error"]


@dataclass(frozen=True)
class ServerOptions:
    """Settings of one server process; the fields are the flags of tensorflow_model_server in this project's words.

    Either ``model_config_file`` or ``model_base_path`` says what is served; with the first the second and
    ``model_name`` are ignored. ``grpc_port`` 0 leaves TCP off, for which ``grpc_socket_path`` must be given;
    ``rest_port`` 0 leaves REST off. ``wait_for_model`` keeps the ports closed until every model has a version, as
    TensorFlow Serving does; without it they open at once and requests get NOT_FOUND until one is loaded.
    Threads of 0 are as many as TensorFlow Serving takes. ``model_config_poll_seconds`` 0 reads the file once, and so
    does ``poll_seconds`` 0 with the base paths; below 0 the base paths are not looked at.
    """

    model_name: str = "default"
    model_base_path: Path | None = None
    host: str = "127.0.0.1"
    grpc_port: int = 8500
    rest_port: int = 0
    poll_seconds: float = 1.0
    rest_timeout_seconds: float = 30.0
    wait_for_model: bool = True
    retry: RetryRule = field(default_factory=RetryRule)
    model_config_file: Path | None = None
    model_config_poll_seconds: float = 0.0
    allow_version_labels_for_unavailable_models: bool = False
    grpc_socket_path: Path | None = None
    load_threads: int = 0
    grpc_threads: int = 0
    grpc_channel_arguments: tuple[tuple[str, int | str], ...] = ()
    rest_threads: int = 0
    enable_cors: bool = False
    enable_health_service: bool = False
    monitoring_config_file: Path | None = None
    enable_batching: bool = False
    batching_parameters_file: Path | None = None
    enable_per_model_batching_parameters: bool = False
    enable_model_warmup: bool = True
    num_request_iterations_for_warmup: int = 1
    saved_model_tags: tuple[str, ...] = ("serve",)
    serialize_as_tensor_content: bool = False
    intra_op_threads: int = 0
    inter_op_threads: int = 0
    #: Flags of tensorflow_model_server that were given and mean nothing here.
    ignored_flags: tuple[str, ...] = ()


def check_options(options: ServerOptions) -> None:
    """Refuse settings that contradict each other.

    Raises:
        ServingError: there is nothing to serve, nowhere to serve it, or a file without the flag that it belongs to.
    """
    if options.model_config_file is None and options.model_base_path is None:
        raise ServingError(
            "Nothing is to be served: there is no base path and no model config file.",
            "Give --model_base_path, with --model_name, or --model_config_file.",
        )
    if not options.grpc_port and options.grpc_socket_path is None:
        raise ServingError("gRPC has no port and no socket.", "Give --port or --grpc_socket_path.")
    if options.batching_parameters_file is not None and not options.enable_batching:
        raise ServingError(
            f"{options.batching_parameters_file} has parameters for batching, which is off.",
            "Give --enable_batching too, or leave --batching_parameters_file out.",
        )


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


def socket_error(path: Path, error: Exception) -> ServingError:
    """The error for a Unix socket that cannot be had."""
    return ServingError(
        f"The socket {path} cannot be used: {error}.",
        "Choose another with --grpc_socket_path, in a folder that is there and may be written to.",
    )
