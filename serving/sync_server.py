"""The sync's own port: whether it lives, whether it has settled, and its figures for Prometheus."""

from __future__ import annotations

import json
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from ml.errors import ServingError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from serving.sync_state import SyncState

__all__ = ["sync_port"]

#: A loop that has not come round for so long hangs.
ALIVE_SECONDS = 120.0


@contextmanager
def sync_port(host: str, port: int, state: Callable[[], SyncState]) -> Iterator[int]:
    """Answer on a port while the block runs; gives the port.

    ``/healthz`` is 200 while the sync looks at record and server again and again, ``/readyz`` while the server serves
    what is wanted, each else 503; both tell the state as JSON. ``/metrics`` is in Prometheus' text format.

    Args:
        host: to listen on.
        port: 0 takes a free one.
        state: the newest.

    Raises:
        ServingError: the port cannot be had.
    """
    registry = CollectorRegistry()
    registry.register(_States(state))
    try:
        server = ThreadingHTTPServer((host, port), _handler(registry, state))
    except OSError as error:
        raise ServingError(
            f"Port {port} on {host} cannot be used: {error}.", "Choose another: `serving.sync_port` in the settings."
        ) from error
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, name="sync-port", daemon=True)
    thread.start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _States(Collector):
    """The state as gauges."""

    def __init__(self, state: Callable[[], SyncState]) -> None:
        self._state = state

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Those that are known."""
        state = self._state()
        yield _gauge("record", "Number of the newest record of what serves.", state.record)
        yield _gauge("settled", "Whether the model server serves what is wanted.", int(state.settled))
        yield _gauge("up_to_date", "Whether the last look at store, disk and server succeeded.", int(not state.error))
        yield _gauge("failed_versions", "Wanted versions that could not be mirrored.", len(state.failed))
        yield _gauge("last_success_timestamp_seconds", "When the last look succeeded, in seconds since 1970.", state.at)
        labelled = GaugeMetricFamily("quartet_sync_version", "Version by label.", labels=["label", "kind"])
        for kind, labels in (("wanted", state.wanted.labels), ("served", state.labels)):
            for label, version in labels.items():
                labelled.add_metric([label, kind], version)
        yield labelled


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"quartet_sync_{name}", text, value=value)


def _handler(registry: CollectorRegistry, state: Callable[[], SyncState]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            now = state()
            if self.path == "/metrics":
                self._send(200, CONTENT_TYPE_LATEST, generate_latest(registry))
            elif self.path in ("/healthz", "/readyz"):
                well = now.settled if self.path == "/readyz" else time.time() - now.attempted_at < ALIVE_SECONDS
                self._send(200 if well else 503, "application/json", json.dumps(now.to_dict(), indent=1).encode())
            else:
                self._send(404, "text/plain", b"There are /healthz, /readyz and /metrics.\n")

        def _send(self, status: int, content_type: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as the base class names it
            """Probes come every few seconds; they are not worth a line."""

    return Handler
