"""Putting the server together: threads, ports, start and stop."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from aiohttp import web

from ml.errors import ServingError
from serving.server.catalog import ModelCatalog
from serving.server.data_plane import DataPlane
from serving.server.grpc_service import build_grpc_server
from serving.server.launch import catch_signals
from serving.server.options import port_error
from serving.server.status import Code
from serving.server.versions import VersionManager

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from serving.server.options import ServerOptions

__all__ = ["ModelServer", "serve"]

log = logging.getLogger(__name__)

#: Threads for each protocol, TensorFlow Serving's rule.
WORKERS = 4 * (os.cpu_count() or 1)
#: What requests in flight get to finish in after a signal.
GRACE_SECONDS = 3.0
CHECK_SECONDS = 0.1


class ModelServer:
    """One model over both protocols.

    ``start`` begins to load, ``open`` opens the ports, ``close`` ends everything.
    """

    def __init__(self, options: ServerOptions) -> None:
        self._options = options
        assert options.model_base_path is not None
        self._plane = DataPlane(options)
        self._manager = VersionManager(
            options.model_name, options.model_base_path, self._plane.load, retry=options.retry
        )
        self._catalog = ModelCatalog([self._manager])
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._pools: list[ThreadPoolExecutor] = []
        self._grpc: Any = None

    @property
    def is_ready(self) -> bool:
        """Whether a version can serve.

        Raises:
            ServingError: none can, and the one that is there failed to load for good.
        """
        if self._manager.is_ready:
            return True
        failure = self._manager.failure()
        if failure is None:
            return False
        raise ServingError(
            f"{Code.UNKNOWN.name}: 1 servable(s) did not become available: version {failure.version} of "
            f"{self._options.model_name}: {failure.message}",
            f"Mend or remove it below {self._options.model_base_path}, and start again.",
        )

    def start(self) -> None:
        """Begin to look for versions and to load them."""
        interval = self._options.poll_seconds
        self._spawn("versions", lambda: self._manager.run(self._stop, interval))

    def open(self) -> None:
        """Open the ports.

        Raises:
            ServingError: a port is in use.
        """
        options = self._options
        self._grpc = build_grpc_server(self._catalog, self._plane.prediction_service(self._catalog), self._pool("grpc"))
        try:
            self._grpc.add_insecure_port(_address(options.host, options.grpc_port))
        except RuntimeError as error:
            raise port_error(options.host, options.grpc_port, error) from error
        if options.rest_port:
            self._open_rest()
        self._grpc.start()
        rest = f"REST on port {options.rest_port}" if options.rest_port else "REST off"
        log.info("serving %s on %s, gRPC on port %d, %s", options.model_name, options.host, options.grpc_port, rest)

    def spawn(self, name: str, work: Callable[[threading.Event], None]) -> None:
        """Run a companion in a thread of the server; it ends when the event it is given is set."""
        self._spawn(name, lambda: work(self._stop))

    def check(self) -> None:
        """Raise ServingError when a thread of the server has ended."""
        for thread in self._threads:
            if not thread.is_alive():
                raise ServingError(f"The server's thread '{thread.name}' has ended.", "See the log above.")

    def close(self) -> bool:
        """Stop taking requests, let those in flight finish, and end the threads.

        Returns:
            Whether everything ended: a load or a prediction inside TensorFlow cannot be interrupted.
        """
        deadline = time.monotonic() + GRACE_SECONDS
        self._stop.set()
        if self._grpc is not None:
            self._grpc.stop(GRACE_SECONDS).wait()
        pools = threading.Thread(target=self._end_pools, name="pools", daemon=True)
        pools.start()
        threads = [*self._threads, pools]
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in threads)

    def _end_pools(self) -> None:
        self._plane.close()
        for pool in self._pools:
            pool.shutdown(wait=False, cancel_futures=True)
        for pool in self._pools:
            pool.shutdown()

    def _open_rest(self) -> None:
        application = self._plane.rest_application(self._catalog, self._pool("rest"))
        opened: list[OSError | None] = []
        answered = threading.Event()

        def report(error: OSError | None) -> None:
            opened.append(error)
            answered.set()

        self._spawn("rest", lambda: asyncio.run(_run_rest(application, self._options, self._stop, report)))
        answered.wait()
        if opened[0] is not None:
            raise port_error(self._options.host, self._options.rest_port, opened[0]) from opened[0]

    def _pool(self, name: str) -> ThreadPoolExecutor:
        self._pools.append(ThreadPoolExecutor(WORKERS, thread_name_prefix=name))
        return self._pools[-1]

    def _spawn(self, name: str, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work, name=name, daemon=True)
        thread.start()
        self._threads.append(thread)


def serve(options: ServerOptions, companions: Sequence[tuple[str, Callable[[threading.Event], None]]] = ()) -> None:
    """Serve until SIGTERM or SIGINT; called in the main thread.

    Args:
        options: of the server.
        companions: work to run beside it, by name; each ends when the event it is given is set.

    Raises:
        ServingError: a port is in use, the first version cannot be loaded, or a thread of the server ended.
    """
    received = catch_signals()
    server = ModelServer(options)
    complete = True
    try:
        for name, work in companions:
            server.spawn(name, work)
        server.start()
        while options.wait_for_model and not received and not server.is_ready:
            time.sleep(CHECK_SECONDS)
        if not received:
            server.open()
        while not received:
            server.check()
            time.sleep(CHECK_SECONDS)
        log.info("stopping on %s", signal.Signals(received[0]).name)
    finally:
        complete = server.close()
    if not complete:
        log.warning("stopped in the middle of a load or a prediction")
        logging.shutdown()
        # The interpreter would wait for threads that are inside TensorFlow, or crash under them.
        os._exit(0)


async def _run_rest(
    application: Any,
    options: ServerOptions,
    stop: threading.Event,
    report: Callable[[OSError | None], None],
) -> None:
    runner = web.AppRunner(application.build(), access_log=None, shutdown_timeout=GRACE_SECONDS)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, options.host, options.rest_port).start()
        except OSError as error:
            report(error)
            return
        report(None)
        while not stop.is_set():
            await asyncio.sleep(CHECK_SECONDS)
    finally:
        await runner.cleanup()


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
