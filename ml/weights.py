"""ImageNet's weights: the files that Keras publishes, from a mirror or by Keras's download, their digests checked."""

from __future__ import annotations

import hashlib
import socket
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras

from ml.errors import WeightsError
from ml.storage import open_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ml.config import StoreSettings, WeightsSettings

__all__ = ["KERAS_FILES", "WeightsFile", "load_published"]

#: Where Keras publishes the weights of its applications, a folder each, named by the application in small letters.
KERAS_FILES = "https://storage.googleapis.com/tensorflow/keras-applications"


@dataclass(frozen=True)
class WeightsFile:
    """One file of weights as Keras publishes it.

    Attributes:
        application: the class in ``keras.applications`` that it belongs to.
        name: of the file.
        md5: hexadecimal, as Keras publishes it; None where none is published.
    """

    application: str
    name: str
    md5: str | None


@dataclass(frozen=True)
class _Source:
    """Where a file comes from: its address, how to have it here, and what to do when it is wrong there."""

    address: str
    fetch: Callable[[], Path]
    remedy: str


def load_published(
    file: WeightsFile, arguments: dict[str, Any], weights: WeightsSettings, store: StoreSettings
) -> keras.Model:
    """Build an application of Keras's with a published file's weights.

    A local copy that is not what it should be is removed and fetched once more, so that neither a disk's fault nor a
    download that was killed lasts. A file of the mirror itself is never touched.

    Args:
        file: which one.
        arguments: of the application, without its weights.
        weights: mirror, download, time-out and pinned digests.
        store: how to reach a mirror behind S3, and where copies are kept.

    Raises:
        WeightsError: the file cannot be had, has another digest than the published or pinned one, or holds something
            else.
        StoreError: the mirror does not answer.
    """
    source = _source(file, weights, store)
    path = source.fetch()
    try:
        return _built(path, file, arguments, source, weights)
    except WeightsError:
        if not _discard(path, source):
            raise
    path = source.fetch()
    try:
        return _built(path, file, arguments, source, weights)
    except WeightsError:
        _discard(path, source)
        raise


def _source(file: WeightsFile, weights: WeightsSettings, store: StoreSettings) -> _Source:
    if weights.mirror is not None:
        mirror = open_store(store.model_copy(update={"url": weights.mirror}))
        if mirror.head(file.name) is not None:
            return _Source(
                mirror.uri(file.name),
                lambda: mirror.materialize(file.name, store.cache_dir / "weights"),
                "Put the file that Keras publishes into the mirror, unchanged.",
            )
    if not weights.download:
        raise _not_to_be_had(file, weights)
    return _downloaded(file, weights.timeout_seconds)


def _not_to_be_had(file: WeightsFile, weights: WeightsSettings) -> WeightsError:
    if weights.mirror is None:
        return WeightsError(
            f"{file.name} is neither in a mirror nor may it be downloaded.",
            "Set `weights.mirror` to a folder or prefix that holds it, or `weights.download: true`.",
        )
    return WeightsError(
        f"There is no {file.name} in the weights mirror {weights.mirror}.",
        "Put Keras's file there, or set `weights.download: true`.",
    )


def _downloaded(file: WeightsFile, timeout_seconds: float) -> _Source:
    address = f"{KERAS_FILES}/{file.application.lower()}/{file.name}"

    def fetch() -> Path:
        try:
            with _socket_timeout(timeout_seconds):
                return Path(keras.utils.get_file(file.name, address, cache_subdir="models"))
        # Keras's downloader raises bare exceptions; what it has written in part it takes away itself.
        except Exception as error:
            raise WeightsError(
                f"ImageNet weights for {file.application} cannot be downloaded from {address}: {error}",
                "Set `weights.mirror` to a folder or prefix that holds Keras's files, or `weights: random` to try "
                "things.",
            ) from error

    return _Source(address, fetch, "Try again; or put Keras's file into a folder and name it in `weights.mirror`.")


@contextmanager
def _socket_timeout(seconds: float) -> Iterator[None]:
    """Keras's downloader takes no time-out of its own."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _built(
    path: Path, file: WeightsFile, arguments: dict[str, Any], source: _Source, weights: WeightsSettings
) -> keras.Model:
    _check("md5", path, file.md5, source, "Keras publishes")
    _check("sha256", path, weights.sha256.get(file.name), source, "`weights.sha256` says")
    try:
        return getattr(keras.applications, file.application)(weights=str(path), **arguments)
    except (OSError, KeyError, ValueError) as error:
        raise WeightsError(
            f"{source.address} does not hold Keras's weights for {file.application} with {arguments}: {error}",
            source.remedy,
        ) from error


def _check(algorithm: str, path: Path, expected: str | None, source: _Source, says: str) -> None:
    if expected is None:
        return
    with path.open("rb") as stream:
        found = hashlib.file_digest(stream, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest()
    if found != expected.lower():
        name = {"md5": "MD5", "sha256": "SHA-256"}[algorithm]
        raise WeightsError(f"{source.address} has {name} {found}, {says} {expected}.", source.remedy)


def _discard(path: Path, source: _Source) -> bool:
    """Remove a local copy; False where the file is the mirror's own."""
    if path == Path(source.address):
        return False
    path.unlink(missing_ok=True)
    return True
