"""What becomes of one object that arrived: an accepted image or a quarantined one, and its ledger row."""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml import layout
from ml.errors import InvalidKeyError, NotFoundError
from ml.images import InspectedImage, RefusedImageError, inspect_image, pixel_id_of
from ml.manifest import LEDGER
from ml.storage import dump_json, put_once, validate_key
from ml.tombstones import FORGOTTEN, KEPT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Set as AbstractSet
    from datetime import datetime

    from ml.context import Context
    from ml.pseudonyms import Pseudonyms
    from ml.storage import Store

__all__ = ["Arrival", "Taken", "quarantine_conflict", "take_object"]

#: What the ledger takes over from the inspection.
KNOWN = set(LEDGER.columns.names) & {one.name for one in fields(InspectedImage)}


@dataclass(frozen=True)
class Arrival:
    """An object to be taken in, as it was listed, with what was known of it then.

    Attributes:
        key: as the store lists it, which may be more than a table can hold (see :func:`ml.layout.printable`).
        etag: of the version that was listed.
        bytes: its size.
        last_modified: in UTC.
        label: None when it has none that is accepted; then ``reason`` and ``detail`` say why.
        explicit_group: pseudonym of the group that ``labels.csv`` gives it.
        reason: why its label is refused.
        detail: the same in words.
        release: the release that takes it out of quarantine.
        stored_at: the key under quarantine of a released object's bytes.
    """

    key: str
    etag: str
    bytes: int
    last_modified: datetime
    label: str | None = None
    explicit_group: str | None = None
    reason: str | None = None
    detail: str | None = None
    release: str | None = None
    stored_at: str | None = None

    @property
    def source_key(self) -> str:
        """The key as tables and records have it."""
        return layout.printable(self.key)


@dataclass(frozen=True)
class Taken:
    """What became of an object.

    Attributes:
        row: its ledger row.
        objects: what is to be stored, by key. The keys say what they hold, so that doing it twice changes nothing.
    """

    row: dict[str, Any]
    objects: dict[str, bytes]


def take_object(
    context: Context,
    arrival: Arrival,
    pseudonyms: Pseudonyms,
    now: datetime,
    forgotten: AbstractSet[str] = frozenset(),
) -> Taken | None:
    """Read one object, to be stored as an image or quarantined.

    Args:
        context: settings and store.
        arrival: the object.
        pseudonyms: for the patient of a DICOM file.
        now: when the ingest began.
        forgotten: of :func:`ml.tombstones.forgotten_ids`; of such a picture no byte is kept.

    Returns:
        None when it vanished between the listing and the reading.
    """
    row = dict.fromkeys(LEDGER.columns.names) | {
        "source_key": arrival.source_key,
        "etag": arrival.etag,
        "last_modified": arrival.last_modified,
        "bytes": arrival.bytes,
        "label": arrival.label,
        "explicit_group": arrival.explicit_group,
        "ingested_at": now,
        "snapshot": "",
        "release": arrival.release,
    }
    where = arrival.stored_at or arrival.key
    try:
        if arrival.bytes > context.settings.images.max_bytes:
            return _take_large(context, arrival, where, row, forgotten)
        data, etag = context.store.get_with_etag(where)
    except NotFoundError:
        return None
    row |= {"bytes": len(data)} if arrival.stored_at else {"etag": etag, "bytes": len(data)}
    try:
        _check_key_and_label(arrival)
        image = inspect_image(data, context.settings.images)
    except RefusedImageError as refusal:
        sha256 = hashlib.sha256(data).hexdigest()
        pixel_id = pixel_id_of(data, context.settings.images) if forgotten else None
        if not forgotten.isdisjoint({sha256, pixel_id}):
            return _forgotten(row, sha256, pixel_id)
        objects = _quarantined(arrival.source_key, sha256, data, refusal, now)
        return Taken(row | {"reason": refusal.reason, "image_id": sha256}, objects)
    if not forgotten.isdisjoint({image.image_id, image.pixel_id}):
        return _forgotten(row, image.image_id, image.pixel_id)
    if image.patient is not None and arrival.explicit_group is None:
        row["explicit_group"] = pseudonyms.name(image.patient)
    # Training reads the last of them: the canonical PNG where there is one.
    objects = _stored(image, data)
    return Taken(row | _describe(image) | {"uri": list(objects)[-1]}, objects)


def quarantine_conflict(store: Store, row: Mapping[Any, Any]) -> dict[str, bytes]:
    """Take an accepted image to quarantine because the same pixels came under another label too.

    Args:
        store: holds the image.
        row: its ledger row.

    Returns:
        What is to be stored, by key.
    """
    # The original, whose name begins that of the canonical PNG that training may read instead.
    ending = row["uri"].rsplit("/", 1)[1].split(".")[1]
    data = store.get(layout.image_key(row["image_id"], ending))
    refusal = RefusedImageError("label_conflict", f"these pixels came as '{row['label']}' and under another label")
    return _quarantined(row["source_key"], row["image_id"], data, refusal, row["ingested_at"])


def _check_key_and_label(arrival: Arrival) -> None:
    if arrival.release is None:  # whoever releases an object has seen its key
        try:
            validate_key(arrival.key)
        except InvalidKeyError as error:
            raise RefusedImageError("unrepresentable_key", layout.printable(error.message)) from error
    if arrival.reason is not None:
        raise RefusedImageError(arrival.reason, arrival.detail or "")


def _describe(image: InspectedImage) -> dict[str, Any]:
    return {name: value for name, value in vars(image).items() if name in KNOWN}


def _stored(image: InspectedImage, data: bytes) -> dict[str, bytes]:
    objects = {layout.image_key(image.image_id, image.extension): data}
    if image.canonical_png is not None:
        objects[layout.image_key(image.image_id, f"{image.extension}.canonical.png")] = image.canonical_png
    return objects


def _quarantined(
    source_key: str, sha256: str, data: bytes, refusal: RefusedImageError, now: datetime
) -> dict[str, bytes]:
    object_key, record_key = layout.quarantine_keys(refusal.reason, sha256, source_key)
    return {object_key: data, record_key: _record(source_key, sha256, refusal, now)}


def _forgotten(row: Mapping[str, Any], sha256: str, pixel_id: str | None) -> Taken:
    """What becomes of a picture that was forgotten: a record that it came again, and nothing of itself."""
    refusal = RefusedImageError(FORGOTTEN, "this picture was forgotten: nothing of it is kept or taken in again")
    _, record_key = layout.quarantine_keys(FORGOTTEN, sha256, row["source_key"])
    kept = {name: value if name in KEPT else None for name, value in row.items()}
    found = {"reason": FORGOTTEN, "image_id": sha256, "pixel_id": pixel_id}
    return Taken(kept | found, {record_key: _record(row["source_key"], sha256, refusal, row["ingested_at"])})


def _take_large(
    context: Context, arrival: Arrival, where: str, row: Mapping[str, Any], forgotten: AbstractSet[str]
) -> Taken:
    """Copy an object to quarantine through a file, since it may not fit into memory."""
    limit = context.settings.images.max_bytes
    refusal = RefusedImageError("too_many_bytes", f"{arrival.bytes} bytes, at most {limit}")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "object"
        context.store.download(where, path)
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        if sha256 in forgotten:
            return _forgotten(row, sha256, None)
        object_key, record_key = layout.quarantine_keys(refusal.reason, sha256, arrival.source_key)
        if context.store.head(object_key) is None:
            context.store.upload(path, object_key)
    put_once(context.store, record_key, _record(arrival.source_key, sha256, refusal, row["ingested_at"]))
    return Taken({**row, "reason": refusal.reason, "image_id": sha256}, {})


def _record(source_key: str, sha256: str, refusal: RefusedImageError, now: datetime) -> bytes:
    return dump_json(
        {
            "source_key": source_key,
            "sha256": sha256,
            "reason": refusal.reason,
            "detail": refusal.detail,
            "quarantined_at": now.isoformat(),
        }
    )
