"""Files that are either whole or not there, and the last lines of long ones."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["replace_file", "tail"]

TAIL_BYTES = 64 * 2**10


def replace_file(path: Path, text: str, mode: int = 0o644) -> None:
    """Write a file in one step, with this mode from its first byte on."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def tail(path: Path, lines: int) -> tuple[str, ...]:
    """The last lines of a text file; none when there is no file. Bytes that are not UTF-8 are replaced."""
    if lines < 1 or not path.is_file():
        return ()
    with path.open("rb") as file:
        file.seek(0, os.SEEK_END)
        file.seek(max(0, file.tell() - TAIL_BYTES))
        text = file.read().decode("utf-8", errors="replace")
    return tuple(text.splitlines()[-lines:])
