"""Putting the server together: threads, ports, start and stop."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from ml.errors import ServingError
from serving.daemon import catch_signals
from serving.server.catalog import ModelCatalog
from serving.server.data_plane import DataPlane
from serving.server.grpc_server import build_grpc_server
from serving.server.labels import VersionLabels
from serving.server.model_config import first_config, start_error
from serving.server.model_service import ModelService
from serving.server.observed import observed
from serving.server.options import port_error, socket_error
from serving.server.reload import ConfigReloader, has_outcome, unavailable_text
from serving.server.rest_server import run_rest
from serving.server.status import Code, StatusError
from serving.server.versions import VersionManager

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from serving.server.observed import Observer
    from serving.server.options import ServerOptions
    from serving.server.policies import Policy

__all__ = ["ModelServer", "serve"]

log = logging.getLogger(__name__)

#: Threads for each protocol, TensorFlow Serving's rule.
WORKERS = 4 * (os.cpu_count() or 1)
#: The share of gRPC's threads that requests for another configuration may wait in.
WAITING_SHARE = 4
#: What requests in flight get to finish in after a signal.
GRACE_SECONDS = 3.0
CHECK_SECONDS = 0.1


class ModelServer:
    """The models of one configuration over both protocols.

    ``start`` begins to load, ``open`` opens the ports, ``close`` ends everything.
    """

    def __init__(self, options: ServerOptions, observe: Observer | None = None) -> None:
        self._options = options
        self._plane = DataPlane(options)
        self._observe = observe
        self._catalog = ModelCatalog(labels=VersionLabels(options.allow_version_labels_for_unavailable_models))
        self._reloader = ConfigReloader(self._catalog, self._manage)
        self._first: list[VersionManager] = []
        self._load_slot = threading.BoundedSemaphore(max(1, options.load_threads))
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._pools: list[ThreadPoolExecutor] = []
        self._grpc: Any = None
        self._health: Any = None

    @property
    def is_ready(self) -> bool:
        """Whether every model that was configured at the start, and still is, has a version that can serve.

        Raises:
            ServingError: one has none, and the one that is there failed to load for good.
        """
        awaited = [manager for manager in self._first if not manager.is_retired]
        if not has_outcome(awaited):
            return False
        if text := unavailable_text(awaited, "servable(s)"):
            raise ServingError(f"{Code.UNKNOWN.name}: {text}.", "Mend or remove what does not load, and start again.")
        return True

    def start(self) -> None:
        """Begin to look for versions and to load them.

        Raises:
            ServingError: the configuration cannot be read, or is refused.
        """
        options = self._options
        try:
            self._first = self._reloader.apply(first_config(options))
        except StatusError as error:
            raise start_error(error) from error
        if options.model_config_file is not None and options.model_config_poll_seconds > 0:
            path, interval = options.model_config_file, options.model_config_poll_seconds
            self._spawn("configuration", lambda: self._reloader.follow(path, self._stop, interval))

    def open(self) -> None:
        """Open the ports.

        Raises:
            ServingError: a port is in use.
        """
        options = self._options
        threads = options.grpc_threads or WORKERS
        pool, waiting = self._pool("grpc", threads), max(1, threads // WAITING_SHARE)
        models = ModelService(self._catalog, self._reloader, self._stop, waiting, self._plane.metrics.totals)
        self._grpc = build_grpc_server(
            self._plane.prediction_service(self._catalog), models, pool, options.grpc_channel_arguments
        )
        if options.enable_health_service:
            from serving.server.health import add_health_service

            self._health = add_health_service(self._grpc)
        self._bind()
        if options.rest_port:
            self._open_rest()
        self._grpc.start()
        rest = f"REST on port {options.rest_port}" if options.rest_port else "REST off"
        names = ", ".join(manager.name for manager in self._catalog.managers) or "no models"
        log.info("serving %s on %s, gRPC on port %d, %s", names, options.host, options.grpc_port, rest)

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
        for manager in self._catalog.managers:
            manager.wake()
        if self._health is not None:
            self._health.enter_graceful_shutdown()
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

    def _manage(self, name: str, base_path: Path, policy: Policy) -> VersionManager:
        load = self._plane.load if self._observe is None else observed(self._plane.load, name, self._observe)
        manager = VersionManager(name, base_path, load, policy, self._options.retry, self._load_slot)
        self._spawn(f"versions of {name}", lambda: manager.run(self._stop, self._options.poll_seconds))
        return manager

    def _bind(self) -> None:
        options = self._options
        if options.grpc_port:
            try:
                self._grpc.add_insecure_port(_address(options.host, options.grpc_port))
            except RuntimeError as error:
                raise port_error(options.host, options.grpc_port, error) from error
        if options.grpc_socket_path is not None:
            try:
                self._grpc.add_insecure_port(f"unix:{options.grpc_socket_path}")
            except RuntimeError as error:
                raise socket_error(options.grpc_socket_path, error) from error

    def _open_rest(self) -> None:
        options = self._options
        pool = self._pool("rest", options.rest_threads or WORKERS)
        application = self._plane.rest_application(self._catalog, pool)
        opened: list[OSError | None] = []
        answered = threading.Event()

        def report(error: OSError | None) -> None:
            opened.append(error)
            answered.set()

        self._spawn("rest", lambda: run_rest(application, options, self._stop, report))
        answered.wait()
        if opened[0] is not None:
            raise port_error(options.host, options.rest_port, opened[0]) from opened[0]

    def _pool(self, name: str, threads: int) -> ThreadPoolExecutor:
        self._pools.append(ThreadPoolExecutor(threads, thread_name_prefix=name))
        return self._pools[-1]

    def _spawn(self, name: str, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work, name=name, daemon=True)
        thread.start()
        self._threads.append(thread)


def serve(
    options: ServerOptions,
    companions: Sequence[tuple[str, Callable[[threading.Event], None]]] = (),
    observe: Observer | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT; called in the main thread.

    Args:
        options: of the server.
        companions: work to run beside it, by name; each ends when the event it is given is set.
        observe: is told of every answer.

    Raises:
        ServingError: a port is in use, the first version cannot be loaded, or a thread of the server ended.
    """
    received = catch_signals()
    # Before the first operation, after which TensorFlow refuses.
    tf.config.threading.set_intra_op_parallelism_threads(options.intra_op_threads)
    tf.config.threading.set_inter_op_parallelism_threads(options.inter_op_threads)
    server = ModelServer(options, observe)
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


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
