"""What every store does, and the few helpers that need no back end."""

from __future__ import annotations

import ctypes
import json
import os
import re
import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from ml.errors import AlreadyExistsError, InvalidKeyError, NotFoundError
from ml.threads import map_ahead

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import datetime
    from pathlib import Path

__all__ = [
    "CONTROL",
    "ObjectInfo",
    "Store",
    "dump_json",
    "find_json",
    "put_in_batches",
    "put_once",
    "read_json",
    "replacing",
    "sync",
    "sync_all",
    "validate_key",
]

MAX_KEY_BYTES = 1024
#: Of objects that are written together; up to four such batches are in memory.
BATCH_BYTES = 2**24
#: Of Linux; None where there is no such call.
SYNCFS = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
NO_NAMES = frozenset({"", ".", ".."})
CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class ObjectInfo(NamedTuple):
    """An object as a listing shows it; ``size`` in bytes, ``last_modified`` in UTC."""

    key: str
    size: int
    etag: str
    last_modified: datetime


class Store(Protocol):
    """An object store with atomic writes, conditional writes and ordered listings.

    Every method may raise :class:`ml.errors.StoreError` when the store refuses or does not answer. What writes raises
    :class:`ml.errors.InvalidKeyError` for a key that some store cannot represent; what reads takes any key that a
    listing shows, since others write here too. Instances may be shared by threads.
    """

    @property
    def url(self) -> str:
        """Address of the store."""

    def uri(self, key: str) -> str:
        """Address of an object, whether it exists or not."""

    def get(self, key: str) -> bytes:
        """Read an object; NotFoundError when there is none."""

    def get_with_etag(self, key: str) -> tuple[bytes, str]:
        """Read an object and the etag of exactly these bytes."""

    def put(self, key: str, data: bytes) -> str:
        """Write an object whole, replacing any; returns its etag."""

    def put_if_absent(self, key: str, data: bytes) -> str:
        """Create an object; AlreadyExistsError when there is one.

        A create whose answer was lost on the way is sent again and then finds its own object: to the caller that is
        AlreadyExistsError too, so a caller that must know whether it won names its writes by their content.
        """

    def put_all_once(self, objects: Mapping[str, bytes]) -> None:
        """Create objects whose keys say what they hold: those that are there already are as good.

        Cheaper than one after the other. After an error some may be there, none of them in part.
        """

    def put_if_match(self, key: str, data: bytes, etag: str) -> str:
        """Replace an object that still has the etag; ConflictError when it changed or is gone."""

    def head(self, key: str) -> ObjectInfo | None:
        """Describe an object, None when there is none."""

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Describe the objects whose keys begin with a prefix, in the byte order of their keys, page by page."""

    def delete(self, key: str) -> None:
        """Remove an object; removing what is not there is no error."""

    def delete_if_match(self, key: str, etag: str) -> None:
        """Remove an object that still has the etag; ConflictError when it changed, none when it is gone."""

    def deletes_conditionally(self) -> bool:
        """Try whether :meth:`delete_if_match` is to be trusted: some S3 servers remove whatever is there."""

    def upload(self, path: Path, key: str) -> None:
        """Write a file of any size as an object."""

    def download(self, key: str, path: Path) -> None:
        """Write an object to a file, which appears whole or not at all."""

    def materialize(self, key: str, directory: Path) -> Path:
        """A local file with the object's bytes, to be memory-mapped and never written.

        Args:
            key: of an object that does not change.
            directory: keeps the copy, when the store has to make one.
        """

    def discard(self, key: str, directory: Path) -> None:
        """Remove the copy that :meth:`materialize` made, if it made one."""


def validate_key(key: str) -> None:
    """Refuse keys that some store cannot represent.

    Raises:
        InvalidKeyError: empty, too long, not UTF-8, with control characters, or with an empty, ``.`` or ``..`` part.
    """
    problem = _problem(key)
    if problem:
        raise InvalidKeyError(f"The key {key!r} {problem}.", "Rename the object.")


def _problem(key: str) -> str | None:
    if not key:
        return "is empty"
    try:
        encoded = key.encode("utf-8")
    except UnicodeEncodeError:
        return "cannot be written as UTF-8"
    if len(encoded) > MAX_KEY_BYTES:
        return f"has {len(encoded)} bytes, more than {MAX_KEY_BYTES}"
    if CONTROL.search(key):
        return "has a control character"
    if not NO_NAMES.isdisjoint(key.split("/")):
        return "has an empty, '.' or '..' part"
    return None


def dump_json(value: Any) -> bytes:
    """Encode a document so that equal values give equal bytes; NaN is refused."""
    return (json.dumps(value, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False) + "\n").encode()


def read_json(store: Store, key: str) -> Any:
    """Read a JSON document."""
    return json.loads(store.get(key))


def find_json(store: Store, key: str) -> dict[str, Any] | None:
    """Read a JSON document; None where there is none."""
    try:
        return dict(read_json(store, key))
    except NotFoundError:
        return None


def put_once(store: Store, key: str, data: bytes) -> None:
    """Create an object whose key says what it holds: where there is one already, it is as good."""
    try:
        store.put_if_absent(key, data)
    except AlreadyExistsError:
        return


def put_in_batches(store: Store, groups: Iterable[Mapping[str, bytes]]) -> None:
    """Create objects whose keys say what they hold, in batches that bound the memory they take.

    The next groups are awaited while a batch is written.
    """
    for _ in map_ahead(store.put_all_once, _batches(groups), 1, "put"):
        pass


def _batches(groups: Iterable[Mapping[str, bytes]]) -> Iterator[dict[str, bytes]]:
    batch: dict[str, bytes] = {}
    waiting = 0
    for group in groups:
        batch |= group
        waiting += sum(map(len, group.values()))
        if waiting > BATCH_BYTES:
            yield batch
            batch, waiting = {}, 0
    if batch:
        yield batch


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path to write, and move it to ``path`` in one step when the block ends without an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f".{uuid.uuid4().hex}.tmp"
    try:
        yield temporary
        sync(temporary)
        temporary.replace(path)
        sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Flush a file or a folder to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_all(descriptor: int) -> None:
    """Flush whatever was written to the file system of an open file, to which files and folders it may be."""
    if SYNCFS is None:
        os.sync()
    elif SYNCFS(descriptor):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
