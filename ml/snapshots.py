"""Snapshots: immutable manifests with their ledger, and the pointer to the newest published one."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow.compute as pc

from ml import layout
from ml.attributes import attributes_to_arrow, decode_attributes, encode_attributes, no_attributes
from ml.errors import AlreadyExistsError, ConflictError, NotFoundError, OvertakenError
from ml.groups import assign_groups
from ml.manifest import LEDGER, MANIFEST, encode, from_parquet, in_order, snapshot_digest, to_arrow
from ml.snapshot_pointer import number_of, read_pointer
from ml.splits import assign_splits
from ml.storage import dump_json, put_once, read_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from ml.config import Settings
    from ml.storage import Store

__all__ = [
    "PLACE",
    "Snapshot",
    "build_manifest",
    "latest_snapshot",
    "latest_snapshot_id",
    "place_images",
    "publish_snapshot",
    "write_snapshot",
]

#: The ledger's columns that say where an image belongs.
PLACE = ["group", "split", "excluded"]
#: In this order the rows of equal pixels count as arrived; no two rows of a ledger are equal in it.
ARRIVAL = ["ingested_at", "source_key", "etag"]
#: What decides an image's place, and its place.
IMAGE = ["pixel_id", "label", "perceptual_hash", "explicit_group", *PLACE, *ARRIVAL]


class Snapshot:
    """A snapshot in the store; each of its tables is read when it is first asked for.

    Attributes:
        snapshot_id: its id.
        record: its ``snapshot.json``.

    Raises:
        NotFoundError: there is none of that id.
    """

    def __init__(self, store: Store, snapshot_id: str) -> None:
        self._store = store
        self.snapshot_id = snapshot_id
        self.record: dict[str, Any] = read_json(store, layout.snapshot_key(snapshot_id, "snapshot.json"))

    @cached_property
    def manifest(self) -> pd.DataFrame:
        """Its images, with the columns of :data:`ml.manifest.MANIFEST`."""
        return from_parquet(self._store.get(layout.snapshot_key(self.snapshot_id, "manifest.parquet")), MANIFEST)

    @cached_property
    def ledger(self) -> pd.DataFrame:
        """Every object seen, with the columns of :data:`ml.manifest.LEDGER`."""
        return self.ledger_columns(LEDGER.columns.names)

    def ledger_columns(self, names: Sequence[str]) -> pd.DataFrame:
        """Some columns of the ledger, without the memory that the others take."""
        key = layout.snapshot_key(self.snapshot_id, "ledger.parquet")
        return from_parquet(self._store.get(key), LEDGER, names)

    @cached_property
    def attributes(self) -> pd.DataFrame:
        """What ``labels.csv`` said of its images beside label and group.

        By image_id, a row for each image of which something is known; a column of text for each attribute, null where
        it is unknown. Without rows and columns when nothing was kept.
        """
        try:
            return decode_attributes(self._store.get(layout.snapshot_key(self.snapshot_id, layout.ATTRIBUTES_FILE)))
        except NotFoundError:
            return no_attributes()


def place_images(ledger: pd.DataFrame, settings: Settings) -> pd.DataFrame:
    """Give every accepted image its group and split; a split once given stays.

    Args:
        ledger: every object seen, with the columns of :data:`ml.manifest.LEDGER`.
        settings: of these the sections ``duplicates`` and ``split``.

    Returns:
        The ledger with ``group``, ``split`` and ``excluded``, equal for equal pixels.
    """
    images = _images(ledger)
    images[PLACE] = assign_groups(images, settings.duplicates)
    images["split"] = assign_splits(images, settings.split)
    image = images.index.get_indexer(pd.Index(ledger["pixel_id"]))
    values = {name: images[name].astype("str").array.take(image, allow_fill=True) for name in PLACE}
    return ledger.assign(
        **{name: pd.Series(values[name], ledger.index).where(image >= 0, ledger[name]) for name in PLACE}
    )


def _images(ledger: pd.DataFrame) -> pd.DataFrame:
    """The images that are accepted or have been, by pixel id: the first row of each, with what any row knows."""
    held = ledger["reason"].isna() | ledger["split"].notna()
    several, alone = _by_number(ledger[IMAGE].assign(refused=ledger["reason"].notna())[held])
    rows = several.sort_values(["refused", *ARRIVAL])
    known = rows.groupby("pixel_id", sort=False)[["explicit_group", *PLACE]].first()
    first = rows.drop_duplicates("pixel_id").set_index("pixel_id").assign(**known)
    return pd.concat([alone.set_index("pixel_id"), first])


def _by_number(rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows whose pixels are those of another row too, and the rows that are the only ones of their pixels.

    Sorting the few takes no time beside sorting them all.
    """
    several = rows["pixel_id"].duplicated(keep=False)
    return (rows[several], rows[~several]) if several.any() else (rows.iloc[:0], rows)


def build_manifest(ledger: pd.DataFrame) -> pd.DataFrame:
    """Derive the manifest from everything seen: one row for each set of identical pixels, the first that arrived.

    Args:
        ledger: from :func:`place_images`; rows with a reason are left out.
    """
    columns = [*MANIFEST.columns.names, "etag"]
    several, alone = _by_number(ledger[columns][ledger["reason"].isna()])
    first = several.sort_values(ARRIVAL).drop_duplicates("pixel_id")
    return pd.concat([alone, first], ignore_index=True).drop(columns="etag")


def write_snapshot(
    store: Store,
    parent: Snapshot | None,
    manifest: pd.DataFrame,
    ledger: pd.DataFrame,
    counts: dict[str, Any],
    attributes: pd.DataFrame | None = None,
) -> str:
    """Write a snapshot that nothing points to yet, and return its id.

    The id counts on from the parent's and ends in a digest of what the snapshot says, so that the same arrivals
    on the same parent give the same id: a step that was killed writes the same files again.

    Args:
        store: where it goes.
        parent: the newest published snapshot.
        manifest: its images.
        ledger: every object seen.
        counts: what ``snapshot.json`` is to say.
        attributes: of images, in the order of their ids; without a row nothing is written of them.
    """
    number = number_of(parent.snapshot_id if parent else None) + 1
    images, objects = in_order(to_arrow(manifest, MANIFEST), MANIFEST), in_order(to_arrow(ledger, LEDGER), LEDGER)
    known = None if attributes is None or attributes.empty else attributes
    digest = snapshot_digest(images, objects, None if known is None else attributes_to_arrow(known))
    snapshot_id = f"{number:06d}-{digest[:12]}"
    # What stands under the id already says the same; its record comes last, as a sign that the others are there.
    files = {
        "ledger.parquet": encode(_arrived_in(objects, snapshot_id), LEDGER),
        "manifest.parquet": encode(_arrived_in(images, snapshot_id), MANIFEST),
    }
    if known is not None:
        files[layout.ATTRIBUTES_FILE] = encode_attributes(known)
    store.put_all_once({layout.snapshot_key(snapshot_id, name): data for name, data in files.items()})
    record = {"snapshot_id": snapshot_id, "parent": parent.snapshot_id if parent else None, **counts}
    put_once(store, layout.snapshot_key(snapshot_id, "snapshot.json"), dump_json(record))
    return snapshot_id


def _arrived_in(table: pa.Table, snapshot_id: str) -> pa.Table:
    """The table with the snapshot's id in those rows that have none yet."""
    column = table.schema.names.index("snapshot")
    ids = pc.if_else(pc.equal(table["snapshot"], ""), snapshot_id, table["snapshot"])
    return table.set_column(column, table.schema.field(column), ids)


def latest_snapshot_id(store: Store) -> str | None:
    """The newest published snapshot, or None before the first."""
    return read_pointer(store)[0]


def latest_snapshot(store: Store) -> Snapshot | None:
    """The newest published snapshot; None before the first."""
    snapshot_id = latest_snapshot_id(store)
    return Snapshot(store, snapshot_id) if snapshot_id else None


def publish_snapshot(store: Store, snapshot_id: str) -> None:
    """Move ``snapshots/latest.json`` to a snapshot whose parent is the one it points to now.

    Raises:
        OvertakenError: another snapshot was published since this one was begun.
    """
    parent = Snapshot(store, snapshot_id).record["parent"]
    pointer = dump_json({"snapshot_id": snapshot_id})
    current, etag = read_pointer(store)
    if current == snapshot_id:
        return
    if current != parent:
        raise _overtaken(snapshot_id, parent)
    try:
        if etag is None:
            store.put_if_absent(layout.LATEST_SNAPSHOT, pointer)
        else:
            store.put_if_match(layout.LATEST_SNAPSHOT, pointer, etag)
    except (AlreadyExistsError, ConflictError) as error:
        raise _overtaken(snapshot_id, parent) from error


def _overtaken(snapshot_id: str, parent: str | None) -> OvertakenError:
    return OvertakenError(
        f"Snapshot {snapshot_id} grew from {parent or 'nothing'}, but another one was published meanwhile.",
        "Run ingest again: it takes up what this one read.",
    )
