"""Rows about requests and the images kept with them, in the store: written, read, forgotten, in time removed.

Parts lie under the day and hour, in UTC, of their first row, and are never changed but by a withdrawal of consent.
"""

from __future__ import annotations

import io
import logging
import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ml import layout
from ml.errors import ConflictError, NotFoundError
from ml.request_rows import SCHEMA, decode_rows, encode_rows, encode_table
from ml.threads import map_ahead

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    import pandas as pd

    from ml.request_rows import RequestRow
    from ml.storage import Store

__all__ = [
    "erase_images",
    "erase_requests",
    "find_requests",
    "is_kept_image",
    "kept_pixels",
    "newest_images",
    "prune_requests",
    "read_requests",
    "write_requests",
]

log = logging.getLogger(__name__)

IDS = ["image_id", "pixel_id"]
WORKERS = 8
#: A part's rows may be later than its hour by that hour, and by `monitoring.flush_seconds`.
LONGEST_PART = timedelta(hours=2)


def write_requests(
    store: Store, model_name: str, rows: Sequence[RequestRow], images: Mapping[str, bytes] | None = None
) -> str:
    """Write some rows, at least one, and images by their ids; returns the key of the rows."""
    # The images first: one without a row is removed when its time is up, a row without its image would mislead.
    for image_id, data in (images or {}).items():
        store.put(layout.request_image_key(model_name, image_id), data)
    first = min(row.at for row in rows).astimezone(UTC)
    key = layout.request_part_key(model_name, f"{first:%Y-%m-%d}", first.hour, uuid.uuid4().hex)
    store.put(key, encode_rows(rows))
    return key


def read_requests(store: Store, model_name: str, start: datetime, end: datetime) -> pd.DataFrame:
    """The rows of answers from a time on, before another, in their order; columns of :data:`SCHEMA`."""
    keys = _parts_between(store, model_name, start, end)
    table = decode_rows([part for part in map_ahead(_reader(store), keys, WORKERS, "requests") if part is not None])
    return table[(table["at"] >= start) & (table["at"] < end)].sort_values("at", kind="stable", ignore_index=True)


def kept_pixels(store: Store) -> dict[str, str | None]:
    """SHA-256 of the pixels of all kept images, by that of their bytes; None for bytes without a row."""
    kept: dict[str, str | None] = {
        info.key.rpartition("/")[2]: None for info in store.list(layout.REQUESTS) if is_kept_image(info.key)
    }
    if not kept:
        return {}
    for key in _all_parts(store):
        table = _read_ids(store, key)
        kept |= {image: pixels for image, pixels in zip(*table, strict=True) if image is not None}
    return kept


def find_requests(store: Store, image_ids: AbstractSet[str]) -> Iterator[tuple[str, str]]:
    """Where images are kept with requests: pairs of an id and a key, of bytes and of parts with rows."""
    images = [
        (info.key.rpartition("/")[2], info.key) for info in store.list(layout.REQUESTS) if is_kept_image(info.key)
    ]
    yield from ((image_id, key) for image_id, key in images if image_id in image_ids)
    # Rows go before the bytes, also when their time is up: where no bytes of any image are left, no row names one.
    for key in _all_parts(store) if images else ():
        held = image_ids & set(_read_ids(store, key)[0])
        yield from ((image_id, key) for image_id in sorted(held))


def erase_requests(store: Store, key: str, image_ids: AbstractSet[str]) -> None:
    """Take the rows of images out of a part, which goes whole when no row is left."""
    while True:
        try:
            data, etag = store.get_with_etag(key)
        except NotFoundError:
            return
        table = pq.read_table(io.BytesIO(data), schema=SCHEMA)
        gone = pc.is_in(table["image_id"], value_set=pa.array(sorted(image_ids), pa.string()))
        left = table.filter(pc.invert(gone))
        if left.num_rows == table.num_rows:
            return
        try:
            if left.num_rows:
                store.put_if_match(key, encode_table(left), etag)
            else:
                store.delete(key)
        except ConflictError:
            log.info("%s was replaced by another withdrawal; its rows are looked at again", key)
        else:
            return


def erase_images(store: Store, model_name: str, key: str, image_ids: AbstractSet[str]) -> None:
    """Take images out of a part with rows about them, and remove their bytes."""
    if not image_ids:
        return
    erase_requests(store, key, image_ids)
    # The bytes last, as everywhere: without any, rows are not looked for.
    for image_id in sorted(image_ids):
        store.delete(layout.request_image_key(model_name, image_id))


def newest_images(store: Store, model_name: str, count: int) -> tuple[bytes, ...]:
    """The images that were kept last, the newest first."""
    listed = store.list(layout.request_image_key(model_name, ""))
    newest = sorted(listed, key=lambda info: (info.last_modified, info.key), reverse=True)[:count]
    return tuple(data for data in map(_reader(store), (info.key for info in newest)) if data is not None)


def prune_requests(store: Store, model_name: str, before: datetime) -> int:
    """Remove rows, a day of them at once, and then the images that they name; returns the number of objects removed.

    No image goes before a row that names it: :func:`find_requests` looks at no rows when there are no images.
    """
    first_kept = (before - LONGEST_PART).astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    day = f"{first_kept:%Y-%m-%d}"
    # A row's time is by the clock of who answered, an image's by that of the store, which may be behind.
    image_since = first_kept - LONGEST_PART
    prefix, images = f"{layout.REQUESTS}{model_name}/", layout.request_image_key(model_name, "")
    old = [
        info.key
        for info in store.list(prefix)
        if (info.last_modified < image_since if info.key.startswith(images) else _day_of(info.key) < day)
    ]
    # Rows before the images that they name.
    for key in sorted(old, key=is_kept_image):
        store.delete(key)
    return len(old)


def _parts_between(store: Store, model_name: str, start: datetime, end: datetime) -> list[str]:
    first, last = (start - LONGEST_PART).astimezone(UTC), end.astimezone(UTC)
    days = [first.date() + timedelta(days=day) for day in range((last.date() - first.date()).days + 1)]
    keys = [info.key for day in days for info in store.list(layout.request_parts(model_name, day.isoformat()))]
    return [key for key in keys if f"{first:%Y-%m-%d/%H}" <= _hour_of(key) <= f"{last:%Y-%m-%d/%H}"]


def _reader(store: Store) -> Callable[[str], bytes | None]:
    def read(key: str) -> bytes | None:
        try:
            return store.get(key)
        except NotFoundError:  # removed since it was listed: its time was up, or its consent withdrawn
            return None

    return read


def _all_parts(store: Store) -> list[str]:
    return [info.key for info in store.list(layout.REQUESTS) if not is_kept_image(info.key)]


def _read_ids(store: Store, key: str) -> tuple[list[str | None], list[str | None]]:
    try:
        table = pq.read_table(io.BytesIO(store.get(key)), columns=IDS)
    except NotFoundError:
        return [], []
    return table["image_id"].to_pylist(), table["pixel_id"].to_pylist()


def is_kept_image(key: str) -> bool:
    """Whether a key is of an image that was kept, and not of rows."""
    return key.removeprefix(layout.REQUESTS).split("/")[1] == "images"


def _day_of(key: str) -> str:
    return key.removeprefix(layout.REQUESTS).split("/")[1]


def _hour_of(key: str) -> str:
    """Day and hour, as ``2026-03-01/07``."""
    day, name = key.rsplit("/", 2)[1:]
    return f"{day}/{name.partition('-')[0]}"
