"""The exporter's port."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector, start_http_server

from ml.errors import ConfigError
from ml.telemetry.collector import StoreCollector

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ml.context import Context

__all__ = ["telemetry_port"]


@contextmanager
def telemetry_port(context: Context, host: str, port: int) -> Iterator[int]:
    """Answer on ``/metrics`` while the block runs; gives the port.

    Args:
        context: settings and store.
        host: to listen on.
        port: 0 takes a free one.

    Raises:
        ConfigError: the port cannot be had.
    """
    registry = CollectorRegistry()
    collector = StoreCollector(context)
    registry.register(collector)
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    try:
        server, thread = start_http_server(port, host, registry)
    except OSError as error:
        collector.close()
        raise ConfigError(f"Port {port} on {host} cannot be used: {error}.", "Choose another with --port.") from error
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        collector.close()
