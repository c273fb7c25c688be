"""What becomes of one object of the landing zone: an accepted image or a quarantined one, and its ledger row."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml import layout
from ml.errors import AlreadyExistsError, NotFoundError
from ml.images import RefusedImageError, inspect_image
from ml.manifest import LEDGER
from ml.storage import dump_json

if TYPE_CHECKING:
    from datetime import datetime

    from ml.context import Context
    from ml.images import InspectedImage
    from ml.storage import ObjectInfo, Store

__all__ = ["quarantine_conflict", "take_object"]


def take_object(context: Context, info: ObjectInfo, now: datetime) -> dict[str, Any] | None:
    """Store one object as an image or quarantine it.

    Everything written is named by its content, so that doing it twice changes nothing.

    Returns:
        Its ledger row, or None when it vanished between the listing and the reading.
    """
    row = dict.fromkeys(LEDGER.columns.names) | {
        "source_key": info.key,
        "etag": info.etag,
        "last_modified": info.last_modified,
        "bytes": info.size,
        "ingested_at": now,
        "snapshot": "",
    }
    try:
        if info.size > context.settings.images.max_bytes:
            return row | _quarantine_large(context, info)
        data, etag = context.store.get_with_etag(info.key)
    except NotFoundError:
        return None
    row |= {"etag": etag, "bytes": len(data)}
    try:
        row["label"] = _label(context, info.key)
        image = inspect_image(data, context.settings.images)
    except RefusedImageError as refusal:
        return row | _quarantine(context.store, info.key, data, refusal)
    return row | _describe(image) | {"uri": _store_image(context.store, image, data)}


def quarantine_conflict(store: Store, source_key: str, image_id: str, uri: str, label: str) -> None:
    """Copy an accepted image to quarantine because the same pixels came under another label too."""
    # The original, whose name begins that of the canonical PNG that training may read instead.
    ending = uri.rsplit("/", 1)[1].split(".")[1]
    data = store.get(layout.image_key(image_id, ending))
    refusal = RefusedImageError("label_conflict", f"these pixels came as '{label}' and under another label")
    _quarantine(store, source_key, data, refusal)


def _label(context: Context, key: str) -> str:
    label, separator, _ = key.removeprefix(layout.LANDING).partition("/")
    if not separator:
        raise RefusedImageError("no_label", "the object lies in no folder; its label would be the folder's name")
    classes = context.settings.classes
    if classes != "discover" and label not in classes:
        raise RefusedImageError("unknown_label", f"'{label}' is none of {', '.join(classes)}")
    return label


def _describe(image: InspectedImage) -> dict[str, Any]:
    names = set(LEDGER.columns.names) & set(vars(image))
    return {name: value for name, value in vars(image).items() if name in names}


def _store_image(store: Store, image: InspectedImage, data: bytes) -> str:
    """Store the original and, where training does not read that, the canonical PNG; returns what training reads."""
    key = layout.image_key(image.image_id, image.extension)
    _put_once(store, key, data)
    if image.canonical_png is None:
        return key
    canonical = layout.image_key(image.image_id, f"{image.extension}.canonical.png")
    _put_once(store, canonical, image.canonical_png)
    return canonical


def _put_once(store: Store, key: str, data: bytes) -> None:
    try:
        store.put_if_absent(key, data)
    except AlreadyExistsError:
        # The key holds the content's digest: what is there is the same.
        return


def _quarantine(store: Store, source_key: str, data: bytes, refusal: RefusedImageError) -> dict[str, Any]:
    sha256 = hashlib.sha256(data).hexdigest()
    object_key, record_key = layout.quarantine_keys(refusal.reason, sha256, source_key)
    _put_once(store, object_key, data)
    store.put(record_key, _record(source_key, sha256, refusal))
    return {"reason": refusal.reason, "image_id": sha256}


def _quarantine_large(context: Context, info: ObjectInfo) -> dict[str, Any]:
    """Copy an object through a file, since it may not fit into memory."""
    refusal = RefusedImageError("too_many_bytes", f"{info.size} bytes, at most {context.settings.images.max_bytes}")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "object"
        context.store.download(info.key, path)
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        object_key, record_key = layout.quarantine_keys(refusal.reason, sha256, info.key)
        context.store.upload(path, object_key)
    context.store.put(record_key, _record(info.key, sha256, refusal))
    return {"reason": refusal.reason, "image_id": sha256}


def _record(source_key: str, sha256: str, refusal: RefusedImageError) -> bytes:
    return dump_json({"source_key": source_key, "sha256": sha256, "reason": refusal.reason, "detail": refusal.detail})
