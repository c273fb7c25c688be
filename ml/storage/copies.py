"""Local copies of objects, up to a limit."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ml.errors import ConfigError

if TYPE_CHECKING:
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
        entries = [entry for entry in path.parent.iterdir() if entry.is_file()] if path.parent.is_dir() else []
        copies = {entry: entry.stat() for entry in entries if entry != path and not entry.name.startswith(".")}
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
