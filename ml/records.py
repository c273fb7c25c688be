"""Reading many small JSON records often: by a listing and their etags, each only once, and the first time in one piece.

A record's etag changes with it, so what was read under the same etag is what is there. A pack is one object with copies
of the records below a prefix and their etags. It is never more than a copy: a record that it lacks, or has with another
etag, is read by itself, so a pack may be old, damaged or gone.
"""

from __future__ import annotations

import json
import logging
from collections import OrderedDict
from heapq import nlargest
from operator import attrgetter
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple

from ml import layout
from ml.errors import DataError, NotFoundError
from ml.storage import dump_json, read_json
from ml.threads import map_ahead

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ml.storage import ObjectInfo, Store

__all__ = ["Record", "Records", "write_pack"]

log = logging.getLogger(__name__)

#: Bytes of records, as they are stored, whose documents are kept in memory.
MOST_BYTES = 2**24
#: Records that are read by themselves rather than with their pack.
FEW = 8
READERS = 16
#: In a pack.
MOST_PACKED = 1000


class Record(NamedTuple):
    """A record as it was read; where it is no JSON, ``problem`` says so and ``document`` is None."""

    key: str
    etag: str
    document: Any
    problem: str = ""


class _Kept(NamedTuple):
    etag: str
    document: Any
    size: int


class Records:
    """Documents of records, kept while their etags stay and there is room; may be shared by threads.

    Documents are shared: nobody may change them.
    """

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._size = 0
        self._lock = Lock()

    def get(self, store: Store, key: str) -> Any:
        """The document of a record as it is now.

        Raises:
            NotFoundError: there is none.
            DataError: it is no JSON.
        """
        found = self._find(store, key)
        if found is not None:
            info = store.head(key)
            if info is not None and info.etag == found.etag:
                return found.document
        record = self._read(store, key)
        if record.problem:
            raise DataError(record.problem, "Restore it from a backup of the store, or let its step write it again.")
        return record.document

    def once(self, store: Store, key: str) -> Any:
        """The document of a record that never changes: read only once. Errors as of :meth:`get`."""
        found = self._find(store, key)
        return found.document if found is not None else self.get(store, key)

    def below(self, store: Store, prefix: str, newest: int | None = None) -> list[Record]:
        """The records below a prefix as they are now, by key.

        Args:
            store: holds them.
            prefix: ends with a slash.
            newest: only so many that were written last; all by default.
        """
        infos = list(store.list(prefix))
        if newest is not None and len(infos) > newest:
            infos = sorted(nlargest(newest, infos, attrgetter("last_modified")))
        if len(self._missing(store, infos)) > FEW:
            self._unpack(store, prefix, infos)
        known = {info.key: self._known(store, info) for info in infos}
        missing = [key for key, record in known.items() if record is None]
        read = map_ahead(lambda key: self._read_if_there(store, key), missing, READERS, "records")
        known |= dict(zip(missing, read, strict=True))
        return [record for record in known.values() if record is not None]

    def _missing(self, store: Store, infos: Sequence[ObjectInfo]) -> list[ObjectInfo]:
        return [info for info in infos if self._known(store, info) is None]

    def _known(self, store: Store, info: ObjectInfo) -> Record | None:
        found = self._find(store, info.key)
        return Record(info.key, info.etag, found.document) if found and found.etag == info.etag else None

    def _unpack(self, store: Store, prefix: str, infos: Sequence[ObjectInfo]) -> None:
        """Keep what the prefix's pack has of these."""
        packed = _read_pack(store, prefix)
        for info in infos:
            copy = packed.get(info.key)
            if copy is not None and copy["etag"] == info.etag:
                self._keep(store, info.key, _Kept(info.etag, copy["document"], info.size))

    def _read_if_there(self, store: Store, key: str) -> Record | None:
        try:
            return self._read(store, key)
        except NotFoundError:  # removed since it was listed
            return None

    def _read(self, store: Store, key: str) -> Record:
        data, etag = store.get_with_etag(key)
        try:
            document = json.loads(data)
        except ValueError as error:
            return Record(key, etag, None, f"{store.uri(key)} is damaged: {error}.")
        self._keep(store, key, _Kept(etag, document, len(data)))
        return Record(key, etag, document)

    def _find(self, store: Store, key: str) -> _Kept | None:
        name = store.uri(key)
        with self._lock:
            found = self._kept.get(name)
            if found is not None:
                self._kept.move_to_end(name)
            return found

    def _keep(self, store: Store, key: str, kept: _Kept) -> None:
        name = store.uri(key)
        with self._lock:
            before = self._kept.pop(name, None)
            self._kept[name] = kept
            self._size += kept.size - (before.size if before else 0)
            while self._size > self._most_bytes:
                _, oldest = self._kept.popitem(last=False)
                self._size -= oldest.size


def write_pack(store: Store, prefix: str) -> None:
    """Write a prefix's pack anew where it lacks something; of more than a thousand records those written last.

    Two that write at once harm nothing: either pack is true.
    """
    records = Records().below(store, prefix, MOST_PACKED)
    whole = {one.key: {"etag": one.etag, "document": one.document} for one in records if not one.problem}
    if whole != _read_pack(store, prefix):
        store.put(layout.pack_key(prefix), dump_json({"records": whole}))


def _read_pack(store: Store, prefix: str) -> dict[str, dict[str, Any]]:
    """Copies by key; none where there is no pack or it is damaged."""
    key = layout.pack_key(prefix)
    try:
        records = read_json(store, key)["records"]
        return {name: {"etag": str(one["etag"]), "document": one["document"]} for name, one in records.items()}
    except NotFoundError:
        return {}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        log.warning("%s is damaged and left out: %s: %s", store.uri(key), type(error).__name__, error)
        return {}
