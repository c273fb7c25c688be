"""Bringing a folder of labelled images into the landing zone."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ml import layout
from ml.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from ml.storage import Store

__all__ = ["UploadResult", "upload_folder"]

WORKERS = 8


@dataclass(frozen=True)
class UploadResult:
    """How many files were sent, and how many were there already with the same bytes."""

    sent: int
    unchanged: int


def upload_folder(
    store: Store, folder: Path, on_file: Callable[[int, int], None] = lambda _done, _of: None
) -> UploadResult:
    """Upload ``folder/<label>/**`` as ``landing/<label>/**``; what is there already is not written again.

    Args:
        store: the destination.
        folder: one folder a class; hidden files are left out.
        on_file: called after each file with how many of how many are done.

    Raises:
        DataError: the folder does not exist or has no folder with files in it.
    """
    if not folder.is_dir():
        raise DataError(f"There is no folder {folder}.", "Name a folder that holds one folder of images a class.")
    files = [path for path in sorted(folder.glob("*/**/*")) if path.is_file() and not _hidden(path, folder)]
    if not files:
        raise DataError(f"{folder} has no files in class folders.", "Lay images out as <folder>/<label>/<file>.")
    # By listings, a thousand objects each: asking for every file costs more, and needs rights to more than the files.
    there = {info.key: info.size for prefix in _prefixes(files, folder) for info in store.list(prefix)}
    sent = 0
    with ThreadPoolExecutor(WORKERS) as pool:
        for done, changed in enumerate(pool.map(lambda path: _upload(store, path, folder, there), files), start=1):
            sent += changed
            on_file(done, len(files))
    return UploadResult(sent, len(files) - sent)


def _prefixes(files: list[Path], folder: Path) -> list[str]:
    return sorted({f"{layout.LANDING}{path.relative_to(folder).parts[0]}/" for path in files})


def _upload(store: Store, path: Path, folder: Path, there: Mapping[str, int]) -> bool:
    key = layout.LANDING + path.relative_to(folder).as_posix()
    if there.get(key) == path.stat().st_size and store.get(key) == path.read_bytes():
        return False
    store.upload(path, key)
    return True


def _hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(folder).parts)
