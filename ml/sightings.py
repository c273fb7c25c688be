"""What the newest ingest saw in the landing zone, so that others can tell what came since without the ledger."""

from __future__ import annotations

import hashlib
import sys
from array import array
from bisect import bisect_left
from typing import TYPE_CHECKING

from ml import layout
from ml.errors import DataError, NotFoundError

if TYPE_CHECKING:
    from ml.storage import ObjectInfo, Store

__all__ = ["Seen", "Sightings", "fingerprint", "is_labels", "read_seen"]

#: Bytes of a fingerprint. Beside a million objects, one new one in 10^13 looks like one of them.
WIDTH = 8
#: Stands for a `labels.csv` that is not there.
NO_LABELS = 0


def fingerprint(key: str, etag: str) -> int:
    """A number for one version of an object: the first 64 bits of a SHA-256.

    An etag changes with what the object holds: in a bucket it is made of the bytes, in a folder of time, size and
    inode.
    """
    identity = key.encode("utf-8", "surrogateescape") + b"\0" + etag.encode()
    return int.from_bytes(hashlib.sha256(identity).digest()[:WIDTH])


def is_labels(info: ObjectInfo) -> bool:
    """Whether a listed object is the table of labels, which is no image."""
    return info.key == layout.LANDING + layout.LABELS_FILE


class Sightings:
    """What one ingest sees, collected while it lists.

    Args:
        labels_etag: of the `labels.csv` that it read, which may be another than it lists; None without one.
    """

    def __init__(self, labels_etag: str | None) -> None:
        key = layout.LANDING + layout.LABELS_FILE
        self._labels = NO_LABELS if labels_etag is None else fingerprint(key, labels_etag)
        self._objects = array("Q")
        self._left: set[int] = set()

    def add(self, info: ObjectInfo) -> None:
        """Note an object that was listed."""
        if not is_labels(info):
            self._objects.append(fingerprint(info.key, info.etag))

    def leave(self, key: str, etag: str) -> None:
        """Leave an object that was listed for another ingest."""
        self._left.add(fingerprint(key, etag))

    def record(self) -> bytes:
        """As it is stored: 8 bytes an object."""
        numbers = array("Q", [self._labels, *sorted(number for number in self._objects if number not in self._left)])
        return _little_endian(numbers).tobytes()

    def store(self, store: Store) -> None:
        """Make this what the newest ingest saw, unless it is already."""
        data = self.record()
        if _record(store)[0] != data:
            store.put(layout.SEEN, data)


class Seen:
    """What the newest ingest saw, as :func:`read_seen` found it; 8 bytes an object in memory.

    Args:
        record: the stored numbers, the first one of `labels.csv`, the others in order; empty without an ingest.
        etag: of the record, empty without one.
    """

    def __init__(self, record: bytes = b"", etag: str = "") -> None:
        if len(record) % WIDTH:
            raise DataError(
                f"{layout.SEEN} has {len(record)} bytes, which are no list of 64-bit numbers.",
                "Remove it: the next ingest writes it anew.",
            )
        self.etag = etag
        self._numbers = _little_endian(array("Q", record))

    @property
    def anything(self) -> bool:
        """Whether there has been an ingest that left a record."""
        return bool(self._numbers)

    def has(self, number: int) -> bool:
        """Whether a fingerprint is that of an object that was seen."""
        place = bisect_left(self._numbers, number, lo=1) if self._numbers else 0
        return 0 < place < len(self._numbers) and self._numbers[place] == number

    def has_labels(self, number: int) -> bool:
        """Whether a fingerprint, `NO_LABELS` for none, is that of the `labels.csv` that was read."""
        return self.anything and self._numbers[0] == number


def read_seen(store: Store) -> Seen:
    """Read what the newest ingest saw; nothing at all when there was none.

    Raises:
        DataError: the record is damaged.
    """
    return Seen(*_record(store))


def _record(store: Store) -> tuple[bytes, str]:
    try:
        return store.get_with_etag(layout.SEEN)
    except NotFoundError:
        return b"", ""


def _little_endian(numbers: array[int]) -> array[int]:
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers
