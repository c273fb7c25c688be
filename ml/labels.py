"""Which label and group an object of the landing zone has: by its folder, or by ``landing/labels.csv``."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ml import layout
from ml.errors import DataError
from ml.images import RefusedImageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ml.config import Settings

__all__ = ["LABEL_REASONS", "Labeller", "LabelsFile", "read_labels"]

COLUMNS = ("key", "label", "group")
#: Reasons of quarantine that another declared class, alias or line of labels.csv can lift.
LABEL_REASONS = frozenset({"no_label", "unknown_label", "contradictory_label"})
NAMED = 5


@dataclass(frozen=True)
class LabelsFile:
    """What ``labels.csv`` says.

    Attributes:
        labels: by key below ``landing/``; an empty label means that the folder's name holds.
        groups: by key, for those that have one.
        contradicted: keys that are given two different labels.
        notes: what is odd in the file, in sentences.
    """

    labels: Mapping[str, str] = field(default_factory=dict)
    groups: Mapping[str, str] = field(default_factory=dict)
    contradicted: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()


def read_labels(data: bytes) -> LabelsFile:
    """Read a comma-separated table in UTF-8 with the columns key, label and, if wanted, group.

    A key is written as below ``landing/``, with or without that. Two lines for a key are one when they say the same.

    Raises:
        DataError: it is not such a table.
    """
    rows, unknown = _parse(data)
    labels: dict[str, str] = {}
    groups: dict[str, str] = {}
    twice: list[str] = []
    contradicted: set[str] = set()
    for row in rows:
        key = row["key"].removeprefix(layout.LANDING)
        label, group = row.get("label", ""), row.get("group", "")
        if key in labels:
            twice.append(key)
            if (labels[key], groups.get(key, "")) != (label, group):
                contradicted.add(key)
            continue
        labels[key] = label
        if group:
            groups[key] = group
    notes = []
    if unknown:
        notes.append(f"labels.csv has columns that are not read: {', '.join(unknown)}")
    if twice:
        notes.append(f"labels.csv names {_some(twice)} more than once")
    return LabelsFile(labels, groups, frozenset(contradicted), tuple(notes))


def _parse(data: bytes) -> tuple[list[dict[str, str]], list[str]]:
    try:
        table = csv.DictReader(io.StringIO(data.decode("utf-8-sig")), strict=True)
        names = [name.strip() for name in table.fieldnames or ()]
        table.fieldnames = names
        rows = list(table)
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(
            f"landing/{layout.LABELS_FILE} is not a comma-separated table in UTF-8: {error}.", "Mend or remove it."
        ) from error
    if "key" not in names or not {"label", "group"} & set(names) or len(set(names)) != len(names):
        raise DataError(
            f"landing/{layout.LABELS_FILE} has the columns {', '.join(names) or '(none)'}.",
            "Give it the columns key and label, and group where images belong together.",
        )
    for number, row in enumerate(rows, start=2):
        if None in row or None in row.values() or not row["key"].strip():
            raise DataError(
                f"Line {number} of landing/{layout.LABELS_FILE} does not have one value a column, or no key.",
                "Mend the line; a value with a comma goes between double quotes.",
            )
    cleaned = [{name: str(value).strip() for name, value in row.items()} for row in rows]
    return cleaned, [name for name in names if name not in COLUMNS]


@dataclass(frozen=True)
class Labeller:
    """Gives each key its label and group, by today's settings and ``labels.csv``."""

    settings: Settings
    file: LabelsFile = LabelsFile()

    def label(self, key: str) -> str:
        """The label of an object.

        Args:
            key: with ``landing/``.

        Raises:
            RefusedImageError: with one of :data:`LABEL_REASONS`.
        """
        name = key.removeprefix(layout.LANDING)
        if name in self.file.contradicted:
            raise RefusedImageError("contradictory_label", "labels.csv says two different things of it")
        folder, separator, _ = name.partition("/")
        label = self.file.labels.get(name) or (folder if separator else "")
        if not label:
            raise RefusedImageError(
                "no_label", "it lies in no folder, whose name would be its label, and labels.csv gives it none"
            )
        return self.resolve(label)

    def resolve(self, label: str) -> str:
        """A label as the data set has it: aliases applied.

        Raises:
            RefusedImageError: unknown_label.
        """
        label = self.settings.landing.aliases.get(label, label)
        classes = self.settings.classes
        if classes != "discover" and label not in classes:
            raise RefusedImageError("unknown_label", f"'{label}' is none of {', '.join(classes)}")
        return label

    def group(self, key: str) -> str | None:
        """The group that labels.csv gives an object."""
        return self.file.groups.get(key.removeprefix(layout.LANDING))


def _some(keys: list[str]) -> str:
    named = ", ".join(keys[:NAMED])
    return named if len(keys) <= NAMED else f"{named} and {len(keys) - NAMED} others"
