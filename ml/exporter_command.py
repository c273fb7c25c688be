"""``quartet exporter``: data and model quality for Prometheus."""

from __future__ import annotations

import logging
import time
from typing import Annotated

import typer

__all__ = ["exporter"]

log = logging.getLogger(__name__)


def exporter(
    port: Annotated[int, typer.Option(min=1, max=65535, help="To listen on.")] = 9470,
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 in a container.")] = "127.0.0.1",
) -> None:
    """Show data and model quality to Prometheus at /metrics, until SIGTERM or SIGINT: docs/metrics.md."""
    from ml.context import Context
    from ml.telemetry import telemetry_port
    from serving.daemon import catch_signals

    context = Context.from_environment()
    with telemetry_port(context, host, port):
        log.info("Metrics of %s are at http://%s:%d/metrics", context.store.url, host, port)
        received = catch_signals()
        while not received:
            time.sleep(0.2)
