"""Which label and group an object of the landing zone has: by its folder, or by ``landing/labels.csv``."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pandas as pd

from ml import layout
from ml.attributes import KEY
from ml.errors import DataError
from ml.images import RefusedImageError
from ml.storage.base import CONTROL

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ml.config import Settings

__all__ = ["LABEL_REASONS", "Labeller", "LabelsFile", "read_labels"]

COLUMNS = ("key", "label", "group")
#: Reasons of quarantine that another declared class, alias or line of labels.csv can lift.
LABEL_REASONS = frozenset({"no_label", "unknown_label", "contradictory_label"})
NAMED = 5
#: Of an attribute: characters of a value, and values from which on it can hardly be one that many images share.
MAX_CHARACTERS, MANY_VALUES = 120, 200


@dataclass(frozen=True)
class LabelsFile:
    """What ``labels.csv`` says.

    Attributes:
        labels: by key below ``landing/``; an empty label means that the folder's name holds.
        groups: by key, for those that have one.
        contradicted: keys that are given two different labels.
        attributes: those that are to be kept and that it has, as told by source key (see :mod:`ml.attributes`).
        notes: what is odd in the file, in sentences.
    """

    labels: Mapping[str, str] = field(default_factory=dict)
    groups: Mapping[str, str] = field(default_factory=dict)
    contradicted: frozenset[str] = frozenset()
    attributes: pd.DataFrame = field(default_factory=pd.DataFrame)
    notes: tuple[str, ...] = ()


def read_labels(data: bytes, attributes: Sequence[str] = ()) -> LabelsFile:
    """Read a comma-separated table in UTF-8 with the columns key, label and, if wanted, group and attributes.

    A key is written as below ``landing/``, with or without that. Two lines for a key are one when they say the same.

    Args:
        data: the file.
        attributes: names of further columns that are to be kept; no others are.

    Raises:
        DataError: it is not such a table, or an attribute's value is too long or has control characters.
    """
    rows, names = _parse(data)
    kept = _attributes(rows, [name for name in attributes if name in names])
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
    notes = [*_column_notes(names, attributes), *_value_notes(kept)]
    if twice:
        notes.append(f"labels.csv names {_some(twice)} more than once")
    return LabelsFile(labels, groups, frozenset(contradicted), kept, tuple(notes))


def _parse(data: bytes) -> tuple[list[dict[str, str]], list[str]]:
    """The lines, without blanks around their values, and the names of the columns."""
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
    return [{name: str(value).strip() for name, value in row.items()} for row in rows], names


def _attributes(rows: list[dict[str, str]], names: list[str]) -> pd.DataFrame:
    keys = [layout.LANDING + row["key"].removeprefix(layout.LANDING) for row in rows] if names else []
    columns = {name: [row[name] for row in rows] for name in names}
    table = pd.DataFrame(columns, pd.Index(keys, name=KEY, dtype="str"), dtype="str")
    for name in names:
        values = table[name]
        odd = (values.str.len() > MAX_CHARACTERS) | values.str.contains(CONTROL)
        if odd.any():
            raise DataError(
                f"Line {int(odd.to_numpy().argmax()) + 2} of landing/{layout.LABELS_FILE} has a value of {name} that "
                f"is longer than {MAX_CHARACTERS} characters or has control characters.",
                "Mend the line, or take the column out of landing.attributes.",
            )
    return table


def _column_notes(names: list[str], attributes: Sequence[str]) -> list[str]:
    notes = []
    unread = [name for name in names if name not in COLUMNS and name not in attributes]
    if unread:
        notes.append(
            f"labels.csv has columns that are not read: {', '.join(unread)}; landing.attributes lists those to be kept"
        )
    missing = [name for name in attributes if name not in names]
    if missing:
        notes.append(f"labels.csv lacks columns that landing.attributes lists: {', '.join(missing)}")
    return notes


def _value_notes(attributes: pd.DataFrame) -> list[str]:
    counts = {name: attributes[name].nunique() for name in attributes}
    return [
        f"labels.csv has {count} different values of {name}: an attribute is something that many images share"
        for name, count in counts.items()
        if count > MANY_VALUES
    ]


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
