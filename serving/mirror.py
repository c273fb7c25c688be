"""Mirrors published versions of a model from the store to a folder that a model server reads.

TensorFlow Serving reads no ``s3://`` and takes any numeric folder for a whole version. So a version is fetched to a
name that is not a number, checked against its ``SHA256SUMS``, flushed to disk, and renamed to its number in one step.
``SHA256SUMS`` is the last object a publisher writes: a version without it is not published.
"""

from __future__ import annotations

import logging
import shutil
import time
import uuid
from typing import TYPE_CHECKING

from ml.errors import DataError, NotFoundError, QuartetError
from ml.layout import model_prefix
from ml.storage.base import sync
from serving.server.discovery import discover_versions
from serving.sums import SUMS, check_digest, parse_sums

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from ml.storage import Store

__all__ = ["Mirror"]

log = logging.getLogger(__name__)

#: A version that is not what its sums say is fetched again only after the first of these, since it may weigh much; one
#: that the store or the disk did not let through after the second.
REFUSED_SECONDS, FAILED_SECONDS = 300.0, 10.0
#: Names of what is on its way in or out; a server ignores them, since they are no numbers.
PRIVATE = ".sync-"


class Mirror:
    """A folder with versions of a model; one at a time may work on a folder.

    Args:
        store: holds the versions under ``models/<model_name>/<version>/``.
        model_name: of the model.
        folder: of the server, made when it is missing.
    """

    def __init__(self, store: Store, model_name: str, folder: Path) -> None:
        self._store = store
        self._model_name = model_name
        self._folder = folder
        self._refused: dict[int, tuple[float, str]] = {}

    def present(self) -> frozenset[int]:
        """The versions that the folder holds whole.

        Raises:
            OSError: the folder cannot be made or read.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        return frozenset(discover_versions(self._folder))

    def fetch(self, wanted: Collection[int]) -> dict[int, str]:
        """Fetch those versions that are missing, the newest first; what a killed process left is removed before.

        Returns:
            Why versions could not be had, by version. One that fails is tried again after a while.

        Raises:
            OSError: the folder cannot be read or written.
        """
        present = self.present()
        self._sweep()
        self._refused = {version: entry for version, entry in self._refused.items() if version in wanted}
        missing = sorted(set(wanted) - present, reverse=True)
        reasons = {version: self._add(version) for version in missing}
        return {version: reason for version, reason in reasons.items() if reason is not None}

    def prune(self, keep: Collection[int]) -> list[int]:
        """Remove all other versions; returns them.

        Raises:
            OSError: the folder cannot be read or written.
        """
        found = discover_versions(self._folder)
        old = sorted(set(found) - set(keep))
        for version in old:
            self._remove(found[version])
            log.info("removed version %d of %s", version, self._model_name)
        return old

    def _add(self, version: int) -> str | None:
        """Fetch a version; the reason when it fails."""
        until, before = self._refused.get(version, (0.0, ""))
        if time.monotonic() < until:
            return before
        started = time.monotonic()
        temporary = self._folder / f"{PRIVATE}{version}-{uuid.uuid4().hex}"
        try:
            size = self._fetch(version, temporary)
            temporary.rename(self._folder / str(version))
            sync(self._folder)
        except (QuartetError, OSError) as error:
            log.error("version %d of %s is not taken: %s", version, self._model_name, error)  # noqa: TRY400
            wrong = isinstance(error, DataError | NotFoundError)
            seconds = REFUSED_SECONDS if wrong else FAILED_SECONDS
            self._refused[version] = time.monotonic() + seconds, str(error)
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
