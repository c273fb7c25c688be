"""A store in a local folder, with the guarantees of an S3 bucket."""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import uuid
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from operator import methodcaller
from pathlib import Path
from typing import TYPE_CHECKING

from ml.errors import AlreadyExistsError, ConflictError, InvalidKeyError, NotFoundError, StoreError
from ml.storage.base import ObjectInfo, replacing, sync, sync_all, validate_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["FolderStore"]

#: Below the root, for what is being written and for the lock; never listed.
PRIVATE = ".quartet"
MAX_PART_BYTES = 255
AS_BYTES = methodcaller("encode", "utf-8", "surrogateescape")


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
        with _translated(key), self._located(key).open("rb", buffering=0) as file:
            return file.readall(), _etag(os.fstat(file.fileno()))

    def put(self, key: str, data: bytes) -> str:
        return self._write(key, lambda temporary: temporary.write_bytes(data))

    def put_if_absent(self, key: str, data: bytes) -> str:
        def link(temporary: Path, path: Path) -> None:
            # Fails where there is a file already, in one step: no lock is needed to have one winner.
            try:
                os.link(temporary, path)
            except FileExistsError as error:
                if path.is_file():
                    raise AlreadyExistsError(f"There is an object at {self.uri(key)} already.") from error
                raise

        return self._write(key, lambda temporary: temporary.write_bytes(data), link)

    def put_all_once(self, objects: Mapping[str, bytes]) -> None:
        # One flush for all takes little longer than one for each. No object has its name before its bytes are on disk.
        paths = {key: self._new_path(key) for key in objects}
        missing = {key: str(number) for number, (key, path) in enumerate(paths.items()) if not path.is_file()}
        with self._batch() as batch:
            for key, name in missing.items():
                with self._writing(key):
                    _write(batch, name, objects[key])
            with self._writing(PRIVATE):
                sync_all(batch)
            for key, name in missing.items():
                with self._writing(key):
                    _rename(batch, name, paths[key])
            with self._writing(PRIVATE):
                sync_all(batch)

    def put_if_match(self, key: str, data: bytes, etag: str) -> str:
        def replace_if_unchanged(temporary: Path, path: Path) -> None:
            if not path.is_file() or _etag(path.stat()) != etag:
                raise ConflictError(f"{self.uri(key)} has changed meanwhile.", "Read it again and repeat.")
            temporary.replace(path)

        return self._write(key, lambda temporary: temporary.write_bytes(data), replace_if_unchanged)

    def head(self, key: str) -> ObjectInfo | None:
        try:
            status = self._located(key).stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        return _info(key, status) if stat.S_ISREG(status.st_mode) else None

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        # Only the last part of a prefix may be incomplete: the walk starts at the folder above it.
        folder, _, _ = prefix.rpartition("/")
        parts = folder.split("/") if folder else []
        if parts[:1] == [PRIVATE] or {"", ".", ".."} & set(parts):
            return  # no key begins so
        yield from self._walk(self._root.joinpath(*parts), f"{folder}/" if folder else "", prefix)

    def delete(self, key: str) -> None:
        with suppress(NotFoundError), _translated(key):
            self._located(key).unlink()

    def delete_if_match(self, key: str, etag: str) -> None:
        # Moved away first: whoever writes without the lock, by copying a file in, makes a new one under the name.
        taken = self._private / f"{uuid.uuid4().hex}.tmp"
        with self._locked():
            try:
                with _translated(key):
                    self._located(key).replace(taken)
            except NotFoundError:
                return
            if _etag(taken.stat()) == etag:
                taken.unlink()
                return
            with suppress(FileExistsError):
                os.link(taken, self._located(key))
            taken.unlink()
        raise ConflictError(f"{self.uri(key)} has changed meanwhile.", "Read it again and repeat.")

    def deletes_conditionally(self) -> bool:
        return True

    def upload(self, path: Path, key: str) -> None:
        self._write(key, lambda temporary: shutil.copyfile(path, temporary))

    def download(self, key: str, path: Path) -> None:
        with replacing(path) as temporary, _translated(key):
            shutil.copyfile(self._located(key), temporary)

    def materialize(self, key: str, directory: Path) -> Path:  # noqa: ARG002 - the interface's; nothing is copied here
        path = self._located(key)
        if not path.is_file():
            raise _missing(key)
        return path

    def discard(self, key: str, directory: Path) -> None:
        """Nothing to do: :meth:`materialize` makes no copies."""

    def _located(self, key: str) -> Path:
        """Where an object is, if it is: whatever a file may be called, but nothing outside the root."""
        parts = key.split("/")
        if {"", ".", ".."} & set(parts) or parts[0] == PRIVATE or "\0" in key:
            raise InvalidKeyError(f"The key {key!r} names no file below {self._root}.", "Use a key as it is listed.")
        return self._root / key

    def _new_path(self, key: str) -> Path:
        """Where an object is to be written."""
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
        path = self._new_path(key)
        if path.is_dir():
            raise self._clash(key)
        temporary = self._private / f"{uuid.uuid4().hex}.tmp"
        try:
            with self._writing(key):
                self._private.mkdir(parents=True, exist_ok=True)
                path.parent.mkdir(parents=True, exist_ok=True)
                fill(temporary)
                sync(temporary)
                with self._locked():
                    etag = _etag(temporary.stat())
                    publish(temporary, path)
                sync(path.parent)
        finally:
            with suppress(FileNotFoundError, NotADirectoryError):
                temporary.unlink()
        return etag

    @contextmanager
    def _writing(self, key: str) -> Iterator[None]:
        try:
            yield
        except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
            raise self._clash(key) from error
        except OSError as error:
            raise StoreError(
                f"{self.uri(key)} cannot be written: {error}.", "Check the disk and its rights."
            ) from error

    @contextmanager
    def _batch(self) -> Iterator[int]:
        """A folder for what is being written, as a descriptor: names in it are found without the path above it."""
        folder = self._private / f"{uuid.uuid4().hex}.tmp"
        with self._writing(PRIVATE):
            folder.mkdir(parents=True)
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            yield descriptor
        finally:
            os.close(descriptor)
            shutil.rmtree(folder)

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
        for name, entry in _children(folder):
            key = base + name
            if name.endswith("/"):
                if (key.startswith(prefix) or prefix.startswith(key)) and key != f"{PRIVATE}/":
                    yield from self._walk(Path(entry.path), key, prefix)
            elif key.startswith(prefix):
                try:
                    status = entry.stat(follow_symlinks=False)
                except FileNotFoundError:  # gone since the folder was read
                    continue
                if stat.S_ISREG(status.st_mode):
                    yield _info(key, status)


def _children(folder: Path) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """What a folder holds, in S3's order of whole keys: a folder sorts as its name with the slash."""
    named: dict[str, os.DirEntry[str]] = {}
    with suppress(NotFoundError), _translated(str(folder)), os.scandir(folder) as entries:
        for entry in entries:
            named[entry.name + "/" if entry.is_dir(follow_symlinks=False) else entry.name] = entry
    for name in sorted(named, key=AS_BYTES):
        yield name, named[name]


def _etag(status: os.stat_result) -> str:
    return f"{status.st_mtime_ns:x}-{status.st_size:x}-{status.st_ino:x}"


def _info(key: str, status: os.stat_result) -> ObjectInfo:
    return ObjectInfo(key, status.st_size, _etag(status), datetime.fromtimestamp(status.st_mtime, UTC))


def _write(folder: int, name: str, data: bytes) -> None:
    descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666, dir_fd=folder)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)


def _rename(folder: int, name: str, target: Path) -> None:
    try:
        os.rename(name, target, src_dir_fd=folder)
    except FileNotFoundError:
        target.parent.mkdir(parents=True, exist_ok=True)
        os.rename(name, target, src_dir_fd=folder)


def _missing(key: str) -> NotFoundError:
    return NotFoundError(f"There is no object {key}.")


@contextmanager
def _translated(key: str) -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise _missing(key) from error
    except PermissionError as error:
        raise StoreError(f"{key} is out of reach: {error}.", "Check the file's rights.") from error
