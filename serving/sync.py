"""Mirrors a model's published versions from the store to a folder that a model server polls.

TensorFlow Serving reads no ``s3://`` and takes any numeric folder for a whole version. So a version is fetched to a
name that is not a number, checked against its ``SHA256SUMS``, flushed to disk, and renamed to its number in one step.
``SHA256SUMS`` is the last object a publisher writes: a version without it is not published.

``python -m serving.sync`` runs it by itself, beside TensorFlow Serving.
"""

from __future__ import annotations

import logging
import re
import shutil
import threading
import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ml.errors import DataError, NotFoundError, QuartetError
from ml.layout import model_prefix
from ml.storage.base import sync
from serving.server.discovery import discover_versions
from serving.sums import SUMS, check_digest, parse_sums

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ml.config import Settings
    from ml.storage import Store

__all__ = ["KEEP", "SYNC_SECONDS", "Mirror", "SyncResult", "model_folder", "run_sync", "sync_once"]

log = logging.getLogger(__name__)

#: The version that serves, and the one before for a server that starts while the newest does not load.
KEEP = 2
#: Between two looks at the store.
SYNC_SECONDS = 2.0
#: A version that is not what its sums say is fetched again only after the first of these, since it may weigh much; one
#: that the store or the disk did not let through after the second.
REFUSED_SECONDS, FAILED_SECONDS = 300.0, 10.0
#: Names of what is on its way in or out; a server ignores them, since they are no numbers.
PRIVATE = ".sync-"


@dataclass(frozen=True)
class SyncResult:
    """What one pass did: versions added and removed, and those that failed with the reason."""

    added: tuple[int, ...] = ()
    removed: tuple[int, ...] = ()
    failed: Mapping[int, str] = field(default_factory=dict)


def sync_once(store: Store, model_name: str, folder: Path, keep: int = KEEP) -> SyncResult:
    """Bring a folder up to date in one pass; see :class:`Mirror`."""
    return Mirror(store, model_name, folder, keep).update()


def run_sync(
    store: Store,
    model_name: str,
    folder: Path,
    interval_seconds: float,
    stop: threading.Event,
    keep: int = KEEP,
) -> None:
    """Keep a folder up to date until told to stop. While the store or the disk fails, what is there stays."""
    mirror = Mirror(store, model_name, folder, keep)
    failing = False
    while not stop.is_set():
        try:
            mirror.update()
        except (QuartetError, OSError) as error:
            log.log(logging.DEBUG if failing else logging.ERROR, "no versions can be fetched for now: %s", error)
            failing = True
        else:
            if failing:
                log.info("%s answers again", store.url)
            failing = False
        stop.wait(interval_seconds)


class Mirror:
    """A folder with the newest published versions of a model; one at a time may work on a folder.

    Args:
        store: holds the versions under ``models/<model_name>/<version>/``.
        model_name: of the model.
        folder: of the server, made when it is missing.
        keep: how many versions to hold. Older ones are removed once that many are there; versions that the store does
            not know are left alone unless they are older too.
    """

    def __init__(self, store: Store, model_name: str, folder: Path, keep: int = KEEP) -> None:
        if keep < 1:
            raise ValueError(f"keep must be at least 1, not {keep}")
        self._store = store
        self._model_name = model_name
        self._folder = folder
        self._keep = keep
        self._refused: dict[int, float] = {}

    def update(self) -> SyncResult:
        """Fetch what is missing, newest first, and remove what is too old.

        Returns:
            What was done. A version that fails does not count as one to keep, so nothing good is removed for it.

        Raises:
            StoreError: the versions cannot be listed.
            OSError: the folder cannot be read or written.
        """
        published = self._published()
        self._folder.mkdir(parents=True, exist_ok=True)
        self._sweep()
        present = discover_versions(self._folder)
        added: list[int] = []
        failed: dict[int, str] = {}
        good: list[int] = []
        for version in sorted(published, reverse=True):
            if len(good) == self._keep:
                break
            if version not in present:
                reason = self._add(version)
                if reason is not None:
                    failed[version] = reason
                    continue
                added.append(version)
            good.append(version)
        old = [version for version in present if len(good) == self._keep and version < min(good)]
        for version in old:
            self._remove(present[version])
            log.info("removed version %d of %s", version, self._model_name)
        return SyncResult(tuple(sorted(added)), tuple(sorted(old)), failed)

    def _published(self) -> list[int]:
        prefix = f"models/{self._model_name}/"
        names = (info.key.removeprefix(prefix).split("/") for info in self._store.list(prefix))
        return [
            int(parts[0])
            for parts in names
            if len(parts) == 2 and parts[1] == SUMS and re.fullmatch(r"[1-9][0-9]{0,17}", parts[0])
        ]

    def _add(self, version: int) -> str | None:
        """Fetch a version; the reason when it fails."""
        until = self._refused.get(version, 0.0)
        if time.monotonic() < until:
            return f"failed before, tried again in {until - time.monotonic():.0f} s"
        started = time.monotonic()
        temporary = self._folder / f"{PRIVATE}{version}-{uuid.uuid4().hex}"
        try:
            size = self._fetch(version, temporary)
            temporary.rename(self._folder / str(version))
            sync(self._folder)
        except (QuartetError, OSError) as error:
            log.error("version %d of %s is not taken: %s", version, self._model_name, error)  # noqa: TRY400
            wrong = isinstance(error, DataError | NotFoundError)
            self._refused[version] = time.monotonic() + (REFUSED_SECONDS if wrong else FAILED_SECONDS)
            return str(error)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        seconds = time.monotonic() - started
        log.info("added version %d of %s, %.1f MB in %.1f s", version, self._model_name, size / 1e6, seconds)
        return None

    def _fetch(self, version: int, target: Path) -> int:
        """Download, check and flush a version; its size in bytes."""
        prefix = model_prefix(self._model_name, version)
        document = self._store.get(prefix + SUMS)
        size = 0
        for path, digest in parse_sums(document, self._store.uri(prefix + SUMS)).items():
            file = target / path
            file.parent.mkdir(parents=True, exist_ok=True)
            self._store.download(prefix + path, file)
            check_digest(file, digest, self._store.uri(prefix + path))
            size += file.stat().st_size
        (target / SUMS).write_bytes(document)
        for written in target.rglob("*"):
            sync(written)
        sync(target)
        return size

    def _remove(self, path: Path) -> None:
        # Renamed first: a server that looks while files go must not find half a version.
        leaving = path.with_name(f"{PRIVATE}{path.name.strip()}-{uuid.uuid4().hex}")
        path.rename(leaving)
        shutil.rmtree(leaving)

    def _sweep(self) -> None:
        """Remove what a process that was killed left behind."""
        for path in self._folder.glob(f"{PRIVATE}*"):
            shutil.rmtree(path)


def model_folder(settings: Settings) -> Path:
    """Where the versions lie: a folder for each model, as TensorFlow Serving's image has it."""
    return settings.serving.model_dir / settings.model_name


def main() -> int:
    """Mirror the configured store's versions until SIGTERM or SIGINT; 1 when the settings are wrong."""
    from ml.config import load_settings
    from ml.storage import open_store
    from serving.server.launch import catch_signals, set_up_logging

    set_up_logging()
    try:
        settings = load_settings()
        store = open_store(settings.store)
    except QuartetError as error:
        log.error("%s", error)  # noqa: TRY400 - its text is for people, the traceback is not
        return 1
    received = catch_signals()
    stop = threading.Event()
    arguments = (store, settings.model_name, model_folder(settings), SYNC_SECONDS, stop)
    thread = threading.Thread(target=run_sync, args=arguments, name="sync", daemon=True)
    thread.start()
    while not received and thread.is_alive():
        time.sleep(0.1)
    stop.set()
    thread.join()
    return 0 if received else 1


if __name__ == "__main__":
    raise SystemExit(main())
