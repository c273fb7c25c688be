"""What may be removed: a folder of the store, or one object, with why it goes or stays."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ml.storage import ObjectInfo, Store

__all__ = ["UNSET", "Folder", "Item", "Kind", "fold", "limit_of", "old_enough"]

Kind = Literal["run", "version", "features", "quarantine", "arrivals", "predictions"]

#: Why things stay whose days are null.
UNSET = "retention.{} is not set"


@dataclass(frozen=True)
class Folder:
    """The objects below a prefix, or the one object of that key; never none."""

    prefix: str
    infos: tuple[ObjectInfo, ...]

    @property
    def name(self) -> str:
        """The last part of its prefix."""
        return self.prefix.rstrip("/").rpartition("/")[2]

    @property
    def newest(self) -> datetime:
        """When something in it was last written."""
        return max(info.last_modified for info in self.infos)

    @property
    def bytes(self) -> int:
        """Of all its objects."""
        return sum(info.size for info in self.infos)

    def has(self, name: str) -> bool:
        """Whether there is an object of that name right in it."""
        return any(info.key == self.prefix + name for info in self.infos)


@dataclass(frozen=True)
class Item:
    """Something that goes, or stays.

    Attributes:
        kind: what it is.
        name: as people call it.
        prefix: of its objects' keys, or the key of its only one.
        objects: how many there are.
        bytes: that they take.
        newest: when something of it was last written, in ISO 8601.
        goes: whether it is to be removed.
        why: in a sentence without its subject.
        versions: of a run, the published ones that go with it.
    """

    kind: Kind
    name: str
    prefix: str
    objects: int
    bytes: int
    newest: str
    goes: bool
    why: str
    versions: tuple[int, ...] = field(default=())

    @classmethod
    def of(cls, kind: Kind, name: str, folder: Folder, goes: bool, why: str, versions: tuple[int, ...] = ()) -> Item:
        """About a folder."""
        newest = folder.newest.isoformat()
        return cls(kind, name, folder.prefix, len(folder.infos), folder.bytes, newest, goes, why, versions)

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Item:
        """From JSON."""
        return cls(**{**document, "versions": tuple(document["versions"])})


def fold(store: Store, prefix: str, depth: int = 1) -> Iterator[Folder]:
    """The folders so many levels below a prefix, in the order of their keys; an object that lies higher is one itself.

    Args:
        store: that is listed.
        prefix: ends with a slash.
        depth: 1 for the folders right below it.
    """

    def folder_of(info: ObjectInfo) -> str:
        parts = info.key.removeprefix(prefix).split("/")
        return info.key if len(parts) <= depth else prefix + "/".join(parts[:depth]) + "/"

    for name, infos in groupby(store.list(prefix), folder_of):
        yield Folder(name, tuple(infos))


def limit_of(days: int | None, now: datetime) -> datetime | None:
    """What was last written before then may go; None where nothing may."""
    return None if days is None else now.astimezone(UTC) - timedelta(days=days)


def old_enough(store: Store, prefix: str, limit: datetime) -> bool:
    """Whether nothing below a prefix was written since a time; also where nothing is left of it."""
    return all(info.last_modified < limit for info in store.list(prefix))
