"""Where images have left traces in the store, besides the models that saw them: pairs of what names one and a key."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pyarrow.parquet as pq

from ml import layout
from ml.attributes import decode_attributes
from ml.augment import original
from ml.examples import sample_images
from ml.storage import read_json
from ml.tombstones import FORGOTTEN

if TYPE_CHECKING:
    from collections.abc import Iterator
    from collections.abc import Set as AbstractSet

    from ml.storage import Store

__all__ = ["attribute_tables", "find_attributes", "find_files", "find_shards", "find_snapshot_pages"]


def find_files(store: Store, image_ids: AbstractSet[str]) -> Iterator[tuple[str, str]]:
    """Images' bytes, accepted or in quarantine, and the records beside those."""
    for image_id in sorted(image_ids):
        for info in store.list(layout.image_key(image_id, "")):
            yield image_id, info.key
    for info in store.list(layout.QUARANTINE):
        reason, _, rest = info.key.removeprefix(layout.QUARANTINE).partition("/")
        digest = rest.split("/")[0]
        # Records that a forgotten picture came again hold nothing of it.
        if digest in image_ids and reason != FORGOTTEN:
            yield digest, info.key


def find_shards(store: Store, image_ids: AbstractSet[str]) -> Iterator[tuple[str, str]]:
    """Indices of the shards that hold feature maps of images, or of views of them."""
    for info in store.list(layout.FEATURES):
        if info.key.endswith(".json"):
            held = {original(row_id) for row_id in read_json(store, info.key)["image_ids"]}
            yield from ((image_id, info.key) for image_id in sorted(held & image_ids))


def attribute_tables(store: Store) -> Iterator[str]:
    """Keys of all tables of attributes: of snapshots, by image id, and of ingests, by source key."""
    yield from (info.key for info in store.list(layout.ATTRIBUTES))
    for info in store.list(layout.SNAPSHOTS):
        if info.key.endswith(f"/{layout.ATTRIBUTES_FILE}"):
            yield info.key


def find_attributes(store: Store, names: AbstractSet[str]) -> Iterator[tuple[str, str]]:
    """Tables of attributes that have rows of images, named by their ids and source keys."""
    for key in attribute_tables(store):
        index = decode_attributes(store.get(key)).index
        yield from ((name, key) for name in sorted(set(index[index.isin(names)])))


def find_snapshot_pages(
    store: Store, image_ids: AbstractSet[str], forgotten: AbstractSet[str]
) -> Iterator[tuple[str, str]]:
    """Pictures and pages of snapshots that show images.

    Args:
        store: of the snapshots.
        image_ids: which are looked for.
        forgotten: those that a page may have left out already.
    """
    keys = {info.key for info in store.list(layout.SNAPSHOTS)}
    for key in sorted(keys):
        _, snapshot_id, *name = key.split("/")
        if name == ["manifest.parquet"]:
            samples, page, outcome = (
                layout.snapshot_key(snapshot_id, f"report/{file}")
                for file in ("samples.png", "index.html", "validation.json")
            )
            if samples in keys or page in keys:
                sampled = image_ids & _sampled(store, key, forgotten - image_ids)
                named = _named(store, outcome, image_ids) if outcome in keys else set()
                yield from ((image_id, samples) for image_id in sorted(sampled) if samples in keys)
                yield from ((image_id, page) for image_id in sorted(sampled | named) if page in keys)


def _sampled(store: Store, manifest_key: str, others: AbstractSet[str]) -> set[str]:
    columns = ["image_id", "label"]
    table = pq.read_table(io.BytesIO(store.get(manifest_key)), columns=columns).to_pandas()
    return set(sample_images(table[~table["image_id"].isin(others)])["image_id"])


def _named(store: Store, key: str, image_ids: AbstractSet[str]) -> set[str]:
    """Those that a validation found outside, of which the page shows some."""
    text = store.get(key).decode()
    return {image_id for image_id in image_ids if image_id in text}
