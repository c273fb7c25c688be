"""From a folder with a SavedModel to a published version: every file, then its sums, then the registry's record.

Each try claims a number of its own. One that was killed half-way leaves files that no ``SHA256SUMS`` names, under a
number that is never used again: a process that was taken for dead and still writes can spoil nobody else's version.
"""

from __future__ import annotations

import hashlib
import logging
import re
from typing import TYPE_CHECKING

from ml import layout
from ml.errors import NotFoundError

if TYPE_CHECKING:
    from pathlib import Path

    from ml.candidates import Contender
    from ml.registry import Registry
    from ml.storage import Store

__all__ = ["checksums", "claim_version", "find_published", "highest_version", "is_published", "upload_version"]

log = logging.getLogger(__name__)

NUMBER = re.compile(r"[1-9][0-9]{0,17}")


def is_published(store: Store, model_name: str, version: int) -> bool:
    """Whether all files of a version are in the store."""
    return store.head(layout.model_prefix(model_name, version) + layout.SUMS) is not None


def find_published(
    store: Store, registry: Registry, model_name: str, candidate: Contender, order: bytes | None = None
) -> int | None:
    """The version that a candidate was published as; None where every try ended before its last file.

    Args:
        store: with the versions.
        registry: that knows which numbers were claimed.
        model_name: of the model.
        candidate: that was published.
        order: the person's decision that the version must carry, as it is stored; None for one that carries none.
    """
    for version in registry.versions_of(candidate):
        if is_published(store, model_name, version) and _order_of(store, model_name, version) == order:
            return version
    return None


def _order_of(store: Store, model_name: str, version: int) -> bytes | None:
    try:
        return store.get(f"{layout.model_prefix(model_name, version)}assets.extra/{layout.ORDER}")
    except NotFoundError:
        return None


def highest_version(store: Store, model_name: str) -> int:
    """The highest number of which the store holds anything, published or not, or which a record names; 0 for none."""
    prefix = f"models/{model_name}/"
    names = {info.key.removeprefix(prefix).split("/")[0] for info in store.list(prefix)}
    return max((int(name) for name in names if NUMBER.fullmatch(name)), default=0)


def claim_version(store: Store, registry: Registry, model_name: str, candidate: Contender) -> int:
    """A version number that nobody has or had."""
    source = store.uri(layout.run_key(candidate.run_id, candidate.name, ""))
    version = registry.claim_version(candidate, source, highest_version(store, model_name))
    log.info("%s of run %s claims version %d", candidate.name, candidate.run_id, version)
    return version


def upload_version(store: Store, folder: Path, model_name: str, version: int) -> None:
    """Write all files of a folder as a version, and what makes it published last."""
    prefix, sums = layout.model_prefix(model_name, version), checksums(folder)
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        store.upload(path, prefix + path.relative_to(folder).as_posix())
    store.put_if_absent(prefix + layout.SUMS, sums.encode())


def checksums(folder: Path) -> str:
    """A ``SHA256SUMS`` document over every file below a folder, as sha256sum writes it."""
    lines = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with path.open("rb") as file:
            lines.append(f"{hashlib.file_digest(file, 'sha256').hexdigest()}  {path.relative_to(folder).as_posix()}\n")
    return "".join(lines)
