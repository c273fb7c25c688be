"""Watching the landing zone by its listing alone: what is new, and when it is told.

A pass lists the landing zone once and reads nothing, as long as there is nothing new. Memory does not grow with the
listing, but for 8 bytes for each object that the newest ingest saw.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from ml import layout
from ml.context import Context
from ml.sightings import NO_LABELS, Seen, fingerprint, is_labels, read_seen
from ml.storage import dump_json, find_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ml.storage import ObjectInfo, Store

__all__ = ["PATIENCE", "UNHEEDED", "LandingWatch", "News", "Patience", "Told", "announce", "find_news"]

#: Passes after which news is told although the listing never rests, and after which news that comes on top of what
#: was told is told although no ingest has looked yet.
PATIENCE = 10
#: Passes after which news is told again where no ingest has looked since: the one that was started may have died before
#: it did, or never have begun.
UNHEEDED = 60


@dataclass(frozen=True)
class News:
    """What a listing has that no ingest has seen.

    Attributes:
        objects: how many objects are new, or changed under their key; `labels.csv` is not counted.
        bytes: their size.
        labels: whether `labels.csv` came, changed or went.
        listed: how many objects were listed in all.
        digest: of what is new, object by object.
        record: etag of the record that it was compared with, empty without one.
    """

    objects: int
    bytes: int
    labels: bool
    listed: int
    digest: str
    record: str


@dataclass(frozen=True)
class Told:
    """News that was told last: its digest, and the record that it was compared with."""

    digest: str
    record: str


def find_news(listing: Iterable[ObjectInfo], seen: Seen) -> News | None:
    """Compare a listing of the landing zone with what the newest ingest saw; None when nothing is new.

    Objects that went are no news: an ingest keeps what it took in. Before the first ingest a `labels.csv` without
    images is none either, since there is nothing to take in.
    """
    digest = hashlib.sha256()
    objects = size = listed = 0
    labels = NO_LABELS
    for info in listing:
        listed += 1
        number = fingerprint(info.key, info.etag)
        if is_labels(info):
            labels = number
        elif not seen.has(number):
            objects, size = objects + 1, size + info.size
            digest.update(number.to_bytes(8))
    changed = not seen.has_labels(labels) and (seen.anything or labels != NO_LABELS)
    if not objects and not (changed and seen.anything):
        return None
    digest.update(labels.to_bytes(8) if changed else b"")
    return News(objects, size, changed, listed, digest.hexdigest(), seen.etag)


class Patience:
    """Decides when news is told: when nothing has been added for a pass, and again only where nobody has looked.

    Args:
        told: what was told before.
    """

    def __init__(self, told: Told | None = None) -> None:
        self.told = told
        self._last: str | None = None
        self._heard = 0
        self._since_told = PATIENCE
        self._unheeded = 0

    def hear(self, news: News | None) -> bool:
        """Take in what a pass found; returns whether it is to be told now, and then counts it as told."""
        self._since_told += 1
        if news is None or self.is_told(news):
            self._last, self._heard = None, 0
            return news is not None and self._is_unheeded(news)
        rests, self._last = news.digest == self._last, news.digest
        self._heard += 1
        if not (rests or self._heard >= PATIENCE) or self._awaits_an_ingest(news):
            return False
        self.told = Told(news.digest, news.record)
        self._last, self._heard, self._since_told, self._unheeded = None, 0, 0, 0
        return True

    def is_told(self, news: News) -> bool:
        """Whether an ingest was started for just that."""
        return self.told is not None and self.told.digest == news.digest

    def _is_unheeded(self, news: News) -> bool:
        """Whether what was told long ago is as it was, and no ingest has looked since; counts the passes."""
        assert self.told is not None
        if self.told.record != news.record:
            return False
        self._unheeded = (self._unheeded + 1) % UNHEEDED
        return self._unheeded == 0

    def _awaits_an_ingest(self, news: News) -> bool:
        """Whether the ingest that was started last has not looked yet: it will find this too."""
        return self.told is not None and self.told.record == news.record and self._since_told < PATIENCE


class LandingWatch:
    """Looks at the landing zone of the configured store, pass by pass.

    Args:
        stopped: asked before each object; when it says so a pass ends early, with nothing told.
    """

    def __init__(self, stopped: Callable[[], bool] = lambda: False) -> None:
        self._stopped = stopped
        self._context: Context | None = None
        self._seen = Seen()
        self._patience = Patience()
        self._unwritten: Told | None = None

    def look(self) -> News | None:
        """One pass; returns what is to be told now.

        What a pass returned is written down by the next one, when whoever was told has had time to keep it. Killed in
        between it is told again, which starts an ingest that finds nothing; it is never left untold.

        Raises:
            ConfigError: the settings are wrong.
            StoreError: the store refuses or does not answer.
            DataError: what the newest ingest left is damaged.
        """
        store = self._open()
        if self._unwritten is not None:
            _write_told(store, self._unwritten)
            self._unwritten = None
        news = self._compare(store)
        if news is not None and self._read_again(store):
            news = self._compare(store)
        if self._stopped():
            return None
        if news is not None and not self._patience.is_told(news):
            # Whoever uploads and starts an ingest himself has said so meanwhile.
            self._patience.told = _read_told(store) or self._patience.told
        if not self._patience.hear(news):
            return None
        self._unwritten = self._patience.told
        return news

    def _open(self) -> Store:
        """The store as it is configured now; another one is watched from the beginning."""
        context = Context.from_environment()
        if self._context is None or context.settings.store != self._context.settings.store:
            seen, told = read_seen(context.store), _read_told(context.store)
            self._context, self._seen, self._patience, self._unwritten = context, seen, Patience(told), None
        return self._context.store

    def _read_again(self, store: Store) -> bool:
        """Whether another ingest has looked meanwhile; an unchanged landing zone does not cost this request."""
        record = store.head(layout.SEEN)
        if (record.etag if record else "") == self._seen.etag:
            return False
        self._seen = read_seen(store)
        return True

    def _compare(self, store: Store) -> News | None:
        return find_news(self._listing(store), self._seen)

    def _listing(self, store: Store) -> Iterable[ObjectInfo]:
        for info in store.list(layout.LANDING):
            if self._stopped():
                return
            yield info


def announce(store: Store) -> News | None:
    """Say that an ingest is about to be started by hand for what lies in the landing zone now.

    A watch that runs then starts none for it. Returns what is new, None when there is nothing.
    """
    news = find_news(store.list(layout.LANDING), read_seen(store))
    if news is not None:
        _write_told(store, Told(news.digest, news.record))
    return news


def _read_told(store: Store) -> Told | None:
    document = find_json(store, layout.TOLD)
    return Told(document["digest"], document["record"]) if document is not None else None


def _write_told(store: Store, told: Told) -> None:
    store.put(layout.TOLD, dump_json(asdict(told)))
