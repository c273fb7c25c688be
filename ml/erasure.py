"""Removing what is kept of forgotten images. Everything here may be killed anywhere and done again."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ml import layout
from ml.errors import NotFoundError, StoreError
from ml.exposure import WARMUP
from ml.features import write_shard
from ml.storage import read_json
from ml.traces import original

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from ml.context import Context
    from ml.storage import Store

__all__ = ["erase_object", "erase_rows", "erase_warmup"]

log = logging.getLogger(__name__)


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
        held = [str(row_id) for row_id in read_json(store, index)["image_ids"]]
    except NotFoundError:  # an earlier try was killed after it
        held = []
    kept = [row for row, row_id in enumerate(held) if original(row_id) not in image_ids]
    if held and len(kept) == len(held):
        return
    if kept:
        _copy_rows(store, name, held, kept)
    store.delete(index)
    store.delete(f"{name}.npy")
    store.discard(f"{name}.npy", cache)


def _copy_rows(store: Store, name: str, held: Sequence[str], kept: Sequence[int]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "shard.npy"
        try:
            store.download(f"{name}.npy", path)
            maps = np.load(path, mmap_mode="r", allow_pickle=False)[kept]
        except (NotFoundError, ValueError, EOFError, IndexError) as error:
            log.warning("%s cannot be read and goes whole; its other images will be extracted again: %s", name, error)
            return
        write_shard(store, name.rpartition("/")[0] + "/", [held[row] for row in kept], maps)


def erase_warmup(context: Context, key: str) -> None:
    """Take the warm-up requests out of a published version, from the local model server's copy as well.

    A version without any loads all the same; its first answers are slower.
    """
    store, prefix = context.store, key.removesuffix(WARMUP)
    local = context.settings.serving.model_dir / Path(*prefix.split("/")[1:3]) / WARMUP
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
        left = [line for line in lines if not line.rstrip().endswith(WARMUP.encode())]
        store.put(f"{prefix}SHA256SUMS", b"".join(left))
    store.delete(key)
