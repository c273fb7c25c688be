"""Keeps a model server on what the record of what serves says: versions on its disk, and its model config file.

It mirrors the wanted versions from the store to the server's volume, writes the config file (first a version, then,
once the server has it, its label), and removes versions that nothing names any more. While the store is down, what
serves goes on serving; while the server is down, nothing is taken away from it.

``python -m serving.sync`` runs it by itself, beside TensorFlow Serving; the local stack runs it as a thread.
"""

from __future__ import annotations

import logging
import threading
import time
from concurrent import futures
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import TYPE_CHECKING

from ml.errors import DataError, QuartetError, ServingError
from ml.promotions import change_after, newest_change
from ml.serving_state import ServingState
from ml.storage.base import replacing
from serving.client import GrpcClient
from serving.look import look_at
from serving.mirror import Mirror
from serving.served_config import ServedConfig, format_config, parse_config, plan_config
from serving.sync_state import SyncState

if TYPE_CHECKING:
    from collections.abc import Mapping
    from concurrent.futures import Future
    from contextlib import AbstractContextManager
    from pathlib import Path

    from ml.config import Settings
    from ml.promotions import Change
    from ml.storage import Store
    from serving.served_config import ServerView

__all__ = ["CONFIG_FILE", "SYNC_SECONDS", "Sync", "config_file", "model_folder", "run_sync"]

log = logging.getLogger(__name__)

#: In `serving.model_dir`: what `--model_config_file` names.
CONFIG_FILE = "models.config"
#: Between two looks at the record; one small request while nothing changes.
SYNC_SECONDS = 1.0
#: The server is in the same pod, or on the same machine: one that does not answer at once is not there.
SERVER_SECONDS = 5.0


class Sync:
    """One server's versions and config file; see the module.

    Args:
        settings: the model's name, the server's address and its folder.
        store: holds record and versions.
    """

    def __init__(self, settings: Settings, store: Store) -> None:
        self._store = store
        self._name = settings.model_name
        self._folder = model_folder(settings)
        self._path = config_file(settings)
        self._mirror = Mirror(store, self._name, self._folder)
        serving = settings.serving
        self._client = GrpcClient(
            serving.host, serving.grpc_port, self._name, timeout_seconds=SERVER_SECONDS, retries=0
        )
        self._change: Change | None = None
        # A large version takes minutes to fetch, in which a rollback must not wait.
        self._fetcher = ThreadPoolExecutor(1, thread_name_prefix="fetch")
        self._fetching: Future[dict[int, str]] | None = None
        self.state = SyncState(attempted_at=time.time())

    def close(self) -> None:
        """End a fetch at the next version, and close the connection to the server."""
        self._fetcher.shutdown(cancel_futures=True)
        self._client.close()

    def update(self, wait: bool = False) -> SyncState:
        """One look at the record, the disk and the server, and what can be done now.

        Args:
            wait: for versions that have to be fetched; otherwise a later look finds them.

        Raises:
            StoreError: the record cannot be read; nothing was changed.
            OSError: the folder cannot be read or written.
        """
        now, change = time.time(), self._newest()
        wanted = change.serving if change else ServingState()
        failed = self._fetch(wanted, wait)
        present, current, server = self._mirror.present(), self._current(), self._look()
        planned = plan_config(wanted, current, present, server)
        if planned != current or not self._path.exists():
            self._write(planned)
        if self._fetching is None:
            self._mirror.prune(wanted.versions | planned.versions | (server.available if server else present))
        self.state = SyncState(
            record=change.number if change else 0,
            wanted=wanted,
            told=planned,
            available=server.available if server else None,
            labels=server.labels if server else {},
            failed=failed,
            at=now,
            attempted_at=now,
        )
        return self.state

    def _fetch(self, wanted: ServingState, wait: bool) -> Mapping[int, str]:
        """Fetch what is missing in a thread of its own; why versions could not be had the last time."""
        if self._fetching is None:
            self._fetching = self._fetcher.submit(self._mirror.fetch, wanted.versions)
        if wait or wanted.versions <= self._mirror.present():
            futures.wait([self._fetching])
        if not self._fetching.done():
            return self.state.failed
        ended, self._fetching = self._fetching, None
        return ended.result()

    def _newest(self) -> Change | None:
        """The newest record: found by its number, one request for each that is new."""
        if self._change is None:
            self._change = newest_change(self._store, self._name)
        while self._change is not None:
            following = change_after(self._store, self._name, self._change.number)
            if following is None:
                break
            self._change = following
        return self._change

    def _current(self) -> ServedConfig:
        try:
            return parse_config(self._path.read_text(encoding="utf-8"), self._path)
        except FileNotFoundError:
            return ServedConfig()
        except (DataError, UnicodeDecodeError) as error:
            log.warning("the config file is written anew: %s", error)
            return ServedConfig()

    def _look(self) -> ServerView | None:
        """What the server says of itself; None when it does not answer."""
        try:
            return look_at(self._client).view
        except ServingError:
            return None

    def _write(self, config: ServedConfig) -> None:
        with replacing(self._path) as temporary:
            temporary.write_text(format_config(config, self._name, self._folder.absolute()), encoding="utf-8")
        log.info("%s: versions %s, labels %s", self._path, sorted(config.versions), dict(config.labels))


def run_sync(sync: Sync, interval_seconds: float, stop: threading.Event) -> None:
    """Keep a server up to date until told to stop. While the store or the disk fails, what is there stays."""
    failing = False
    try:
        while not stop.is_set():
            try:
                sync.update()
            except Exception as error:
                known = isinstance(error, QuartetError | OSError)
                log.log(
                    logging.DEBUG if failing else logging.ERROR,
                    "nothing can be brought up to date: %s",
                    error,
                    exc_info=None if known else error,
                )
                sync.state = sync.state.failing(f"{type(error).__name__}: {error}")
                failing = True
            else:
                if failing:
                    log.info("up to date again")
                failing = False
            stop.wait(interval_seconds)
    finally:
        sync.close()


def model_folder(settings: Settings) -> Path:
    """Where the versions lie: a folder for each model, as TensorFlow Serving's image has it."""
    return settings.serving.model_dir / settings.model_name


def config_file(settings: Settings) -> Path:
    """The server's model config file."""
    return settings.serving.model_dir / CONFIG_FILE


def main() -> int:
    """Follow the configured store's record until SIGTERM or SIGINT; 1 when the settings are wrong."""
    from ml.config import load_settings
    from ml.storage import open_store
    from serving.daemon import catch_signals, set_up_logging

    set_up_logging()
    try:
        settings = load_settings()
        sync = Sync(settings, open_store(settings.store))
        with _port(settings, sync):
            received, stop = catch_signals(), threading.Event()
            thread = threading.Thread(target=run_sync, args=(sync, SYNC_SECONDS, stop), name="sync", daemon=True)
            thread.start()
            while not received and thread.is_alive():
                time.sleep(0.1)
            stop.set()
            thread.join()
    except QuartetError as error:
        log.error("%s", error)  # noqa: TRY400 - its text is for people, the traceback is not
        return 1
    return 0 if received else 1


def _port(settings: Settings, sync: Sync) -> AbstractContextManager[object]:
    from serving.sync_server import sync_port

    port = settings.serving.sync_port
    # In a container its own address is not known before, and the probes come from outside.
    return nullcontext() if port is None else sync_port("", port, lambda: sync.state)


if __name__ == "__main__":
    raise SystemExit(main())
