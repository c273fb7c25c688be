"""A store in a local folder, with the guarantees of an S3 bucket."""

from __future__ import annotations

import fcntl
import os
import shutil
import uuid
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ml.errors import AlreadyExistsError, ConflictError, InvalidKeyError, NotFoundError, StoreError
from ml.storage.base import ObjectInfo, replacing, sync, validate_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["FolderStore"]

#: Below the root, for what is being written and for the lock; never listed.
PRIVATE = ".quartet"
MAX_PART_BYTES = 255


class FolderStore:
    """Objects as files below a root, which is made by the first write.

    Files that people copy in are objects too. An etag is made of the file's modification time, size and inode: every
    write here makes a new inode, so no content needs to be read for it.
    """

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()
        self._private = self._root / PRIVATE

    @property
    def url(self) -> str:
        return str(self._root)

    def uri(self, key: str) -> str:
        return str(self._root / key)

    def get(self, key: str) -> bytes:
        return self.get_with_etag(key)[0]

    def get_with_etag(self, key: str) -> tuple[bytes, str]:
        with _translated(key), self._path(key).open("rb") as file:
            return file.read(), _etag(os.fstat(file.fileno()))

    def put(self, key: str, data: bytes) -> str:
        return self._write(key, lambda temporary: temporary.write_bytes(data))

    def put_if_absent(self, key: str, data: bytes) -> str:
        # A hard link fails where there is a file already, in one step: no lock is needed to have one winner.
        try:
            return self._write(key, lambda temporary: temporary.write_bytes(data), os.link)
        except FileExistsError as error:
            raise AlreadyExistsError(f"There is an object at {self.uri(key)} already.") from error

    def put_if_match(self, key: str, data: bytes, etag: str) -> str:
        def replace_if_unchanged(temporary: Path, path: Path) -> None:
            if not path.is_file() or _etag(path.stat()) != etag:
                raise ConflictError(f"{self.uri(key)} has changed meanwhile.", "Read it again and repeat.")
            temporary.replace(path)

        return self._write(key, lambda temporary: temporary.write_bytes(data), replace_if_unchanged)

    def head(self, key: str) -> ObjectInfo | None:
        path = self._path(key)
        return _info(key, path) if path.is_file() else None

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        # Only the last part of a prefix may be incomplete: the walk starts at the folder above it.
        folder, _, _ = prefix.rpartition("/")
        start = self._root / folder if folder else self._root
        if start.is_dir():
            yield from self._walk(start, f"{folder}/" if folder else "", prefix)

    def delete(self, key: str) -> None:
        self._path(key).unlink(missing_ok=True)

    def upload(self, path: Path, key: str) -> None:
        self._write(key, lambda temporary: shutil.copyfile(path, temporary))

    def download(self, key: str, path: Path) -> None:
        with _translated(key), replacing(path) as temporary:
            shutil.copyfile(self._path(key), temporary)

    def materialize(self, key: str, directory: Path) -> Path:  # noqa: ARG002 - the interface's; nothing is copied here
        path = self._path(key)
        if not path.is_file():
            raise _missing(key)
        return path

    def _path(self, key: str) -> Path:
        validate_key(key)
        long = [part for part in key.split("/") if len(part.encode()) > MAX_PART_BYTES]
        if long or key.split("/", 1)[0] == PRIVATE:
            problem = f"has a part of more than {MAX_PART_BYTES} bytes" if long else f"begins with {PRIVATE}"
            raise InvalidKeyError(f"The key {key!r} {problem}, which a folder cannot hold.", "Rename the object.")
        return self._root / key

    def _write(
        self, key: str, fill: Callable[[Path], object], publish: Callable[[Path, Path], object] = os.replace
    ) -> str:
        """Fill a temporary file, flush it, and publish it under the lock."""
        path = self._path(key)
        if path.is_dir():
            raise self._clash(key)
        temporary = self._private / f"{uuid.uuid4().hex}.tmp"
        try:
            self._private.mkdir(parents=True, exist_ok=True)
            path.parent.mkdir(parents=True, exist_ok=True)
            fill(temporary)
            sync(temporary)
            with self._locked():
                etag = _etag(temporary.stat())
                publish(temporary, path)
            sync(path.parent)
        except (NotADirectoryError, IsADirectoryError) as error:
            raise self._clash(key) from error
        except FileExistsError as error:
            if publish is os.link and path.is_file():
                raise
            raise self._clash(key) from error
        except OSError as error:
            raise StoreError(
                f"{self.uri(key)} cannot be written: {error}.", "Check the disk and its rights."
            ) from error
        finally:
            temporary.unlink(missing_ok=True)
        return etag

    def _clash(self, key: str) -> StoreError:
        return StoreError(
            f"{self.uri(key)} cannot be written: part of its path is an object, or it is a folder.",
            "A folder cannot hold an object and a folder of the same name; rename one.",
        )

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One writer at a time, over threads and processes: a check and the write after it are one step."""
        try:
            self._private.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._private / "lock", os.O_CREAT | os.O_RDWR, 0o600)
        except OSError as error:
            raise StoreError(
                f"The store {self._root} cannot be written: {error}.", "Check the path's rights."
            ) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _walk(self, folder: Path, base: str, prefix: str) -> Iterator[ObjectInfo]:
        with os.scandir(folder) as entries:
            # S3 orders whole keys: a folder sorts as its name with the slash.
            children = sorted((entry.name + "/" * entry.is_dir(follow_symlinks=False), entry) for entry in entries)
        for name, entry in sorted(children, key=lambda child: child[0].encode("utf-8", "surrogateescape")):
            key = base + name
            if name == f"{PRIVATE}/" and not base:
                continue
            if name.endswith("/"):
                if key.startswith(prefix) or prefix.startswith(key):
                    yield from self._walk(Path(entry.path), key, prefix)
            elif key.startswith(prefix) and entry.is_file(follow_symlinks=False):
                yield _info(key, Path(entry.path))


def _etag(status: os.stat_result) -> str:
    return f"{status.st_mtime_ns:x}-{status.st_size:x}-{status.st_ino:x}"


def _info(key: str, path: Path) -> ObjectInfo:
    status = path.stat()
    return ObjectInfo(key, status.st_size, _etag(status), datetime.fromtimestamp(status.st_mtime, UTC))


def _missing(key: str) -> NotFoundError:
    return NotFoundError(f"There is no object {key}.")


@contextmanager
def _translated(key: str) -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise _missing(key) from error
    except PermissionError as error:
        raise StoreError(f"{key} cannot be read: {error}.", "Check the file's rights.") from error
