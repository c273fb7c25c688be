"""Local copies of objects, up to a limit."""

from __future__ import annotations

import os
from contextlib import suppress
from stat import S_ISREG
from typing import TYPE_CHECKING

from ml.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["LocalCopies"]


class LocalCopies:
    """Keeps a folder of copies below a size: what was not used for longest makes room.

    What this process uses stays. What another one has open stays readable there after its name is gone.

    Args:
        limit: bytes.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._used: set[Path] = set()

    def use(self, path: Path) -> None:
        """Note that a copy is used now."""
        with suppress(FileNotFoundError):  # another process has just made room; the caller fetches it again
            os.utime(path)
        self._used.add(path)

    def make_room(self, path: Path, size: int) -> None:
        """Remove copies until one more fits.

        Args:
            path: of the new copy.
            size: its bytes.

        Raises:
            ConfigError: what this process uses leaves no room.
        """
        copies = {entry: status for entry, status in _files(path.parent) if entry != path}
        total = size + sum(status.st_size for status in copies.values())
        for copy in sorted(copies.keys() - self._used, key=lambda one: copies[one].st_mtime):
            if total <= self._limit:
                return
            copy.unlink(missing_ok=True)
            total -= copies[copy].st_size
        if total > self._limit:
            raise ConfigError(
                f"The local copies in use take {total / 2**30:.2f} GiB, more than store.cache_limit_gib = "
                f"{self._limit / 2**30:g}.",
                f"Raise it, as far as the disk of {path.parent} allows.",
            )


def _files(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Copies that are whole; one that another process removes meanwhile is none."""
    for entry in folder.iterdir() if folder.is_dir() else ():
        with suppress(FileNotFoundError):
            status = entry.stat()
            if S_ISREG(status.st_mode) and not entry.name.startswith("."):
                yield entry, status
