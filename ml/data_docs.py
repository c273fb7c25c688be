"""Great Expectations' own pages, moved from a folder into the store."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from ml.storage import Store

__all__ = ["store_data_docs"]

#: Megabytes of animations that explain Great Expectations to its developers; no page of ours leads to them.
LEFT_OUT = {".gif"}


def store_data_docs(store: Store, folder: Path, prefix: str) -> str:
    """Store a site file by file in place of an earlier one, and return the key of its first page.

    The pages' names hold the time of the validation, so a second validation would leave the first one's behind.
    """
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.suffix not in LEFT_OUT]
    keys = {prefix + path.relative_to(folder).as_posix(): path for path in paths}
    for key, path in keys.items():
        store.upload(path, key)
    for info in list(store.list(prefix)):
        if info.key not in keys:
            store.delete(info.key)
    return f"{prefix}index.html"
