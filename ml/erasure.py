"""Removing what is kept of forgotten images. Everything here may be killed anywhere and done again."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ml import layout
from ml.attributes import decode_attributes, encode_attributes
from ml.augment import original
from ml.errors import ConflictError, NotFoundError, StoreError
from ml.features import CORRUPT, digest_of, write_shard
from ml.storage import read_json

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from ml.context import Context
    from ml.storage import Store

__all__ = ["erase_attributes", "erase_object", "erase_rows", "erase_set_aside", "erase_warmup"]

log = logging.getLogger(__name__)


def erase_attributes(store: Store, key: str, names: AbstractSet[str]) -> None:
    """Take rows out of a table of attributes.

    Args:
        store: holds the table.
        key: of the table.
        names: image ids and source keys whose rows go.
    """
    while True:
        data, etag = store.get_with_etag(key)
        table = decode_attributes(data)
        gone = table.index.isin(names)
        if not gone.any():
            return
        try:
            store.put_if_match(key, encode_attributes(table[~gone]), etag)
        except ConflictError:
            log.info("%s was replaced by another withdrawal; its rows are looked at again", key)


def erase_object(store: Store, row: Mapping[Hashable, Any]) -> None:
    """Remove the bytes of one object, and its record in quarantine, given its ledger row."""
    for info in list(store.list(layout.image_key(row["image_id"], ""))):
        store.delete(info.key)
    if isinstance(row["reason"], str):
        for key in layout.quarantine_keys(row["reason"], row["image_id"], row["source_key"]):
            store.delete(key)


def erase_rows(store: Store, index: str, image_ids: AbstractSet[str], cache: Path) -> None:
    """Put a shard without some images in the place of one.

    The new pair is written first, then the old index goes, then the old shard: whoever reads meanwhile finds every
    other image.

    Args:
        store: of the cache.
        index: key of the shard's index, which may be gone already.
        image_ids: whose rows go, those of their views too.
        cache: folder with local copies of shards.
    """
    name = index.removesuffix(".json")
    try:
        document = read_json(store, index)
    except NotFoundError:  # an earlier try was killed after it
        document = {"image_ids": []}
    held = document["image_ids"]
    kept = [row for row, row_id in enumerate(held) if original(row_id) not in image_ids]
    if held and len(kept) == len(held):
        return
    if kept:
        _copy_rows(store, name, document, kept)
    store.delete(index)
    store.delete(f"{name}.npy")
    store.discard(f"{name}.npy", cache)


def _copy_rows(store: Store, name: str, document: Mapping[str, Any], kept: Sequence[int]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "shard.npy"
        try:
            store.download(f"{name}.npy", path)
        except NotFoundError:
            log.warning("%s.npy is gone; its other images will be extracted again", name)
            return
        if digest_of(path) != document["sha256"]:
            log.warning("%s.npy is corrupt and goes whole; its other images will be extracted again", name)
            return
        maps = np.load(path, mmap_mode="r", allow_pickle=False)[kept]
        write_shard(store, name.rpartition("/")[0] + "/", [document["image_ids"][row] for row in kept], maps)


def erase_set_aside(store: Store) -> None:
    """Remove all corrupt shards that were moved aside: without an index nobody can tell which images they hold."""
    for info in list(store.list(layout.FEATURES)):
        if f"/{CORRUPT}" in info.key:
            store.delete(info.key)


def erase_warmup(context: Context, key: str) -> None:
    """Take the warm-up requests out of a published version, from the local model server's copy as well.

    A version without any loads all the same; its first answers are slower.
    """
    store, prefix = context.store, key.removesuffix(layout.WARMUP)
    local = context.settings.serving.model_dir / Path(*prefix.split("/")[1:3]) / layout.WARMUP
    try:
        local.unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(f"{local} cannot be removed: {error}.", "Remove it by hand, then forget again.") from error
    try:
        lines = store.get(f"{prefix}SHA256SUMS").splitlines(keepends=True)
    except NotFoundError:  # the version was not published to its end
        lines = []
    if lines:
        # The sums first: a version whose sums name a file that is missing would not be taken by any server.
        left = [line for line in lines if not line.rstrip().endswith(layout.WARMUP.encode())]
        store.put(f"{prefix}SHA256SUMS", b"".join(left))
    store.delete(key)
