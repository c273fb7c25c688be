"""What the Models page shows of each snapshot, in a small record of its own that `validate` writes.

A snapshot's folder holds a hundred objects, with the pages of Great Expectations, and its tables are large.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from ml import layout
from ml.errors import DataError
from ml.page_parts import SplitCounts
from ml.records import write_pack
from ml.storage import dump_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ml.storage import Store

__all__ = ["Checked", "SnapshotSummary", "Verdict", "checked", "unchecked", "write_snapshot_summary"]

#: What the expectations said of a snapshot; ``unknown`` where it was not held against them.
Verdict = Literal["passed", "warned", "failed", "unknown"]


@dataclass(frozen=True)
class Checked:
    """How a snapshot was held against the expectations.

    Attributes:
        verdict: in a word.
        checks: how many there were.
        warnings: those that were not met and only warn, in words.
        critical: those that were not met and keep it from being published, in words.
        has_report: whether its page was written.
        has_data_docs: whether Great Expectations' own pages were.
    """

    verdict: Verdict = "unknown"
    checks: int = 0
    warnings: tuple[str, ...] = ()
    critical: tuple[str, ...] = ()
    has_report: bool = False
    has_data_docs: bool = False


@dataclass(frozen=True)
class SnapshotSummary:
    """A snapshot in short.

    Attributes:
        snapshot_id: its id.
        parent: the one that it grew from.
        created_at: when it was made, in ISO 8601.
        images: in it.
        added: that its parent had not.
        excluded: images that are in no split.
        seen: objects that were ever seen.
        quarantined: of them, those in quarantine.
        quarantined_by_reason: these by reason.
        notes: what was odd when it was made, in sentences.
        counts: images of each class in each split; empty where nobody has counted them.
        checked: how it was held against the expectations.
    """

    snapshot_id: str
    parent: str | None
    created_at: str
    images: int
    added: int
    excluded: int
    seen: int
    quarantined: int
    quarantined_by_reason: Mapping[str, int]
    notes: tuple[str, ...]
    counts: tuple[SplitCounts, ...] = ()
    checked: Checked = Checked()

    @classmethod
    def from_dict(cls, document: Any, source: str) -> SnapshotSummary:
        """From JSON.

        Args:
            document: as :meth:`to_dict` gives it.
            source: where it was read, for the error.

        Raises:
            DataError: it is something else.
        """
        try:
            words = {name: tuple(document["checked"][name]) for name in ("warnings", "critical")}
            summary = cls(
                **document
                | {
                    "notes": tuple(document["notes"]),
                    "counts": tuple(SplitCounts(*row) for row in document["counts"]),
                    "checked": Checked(**document["checked"] | words),
                }
            )
            datetime.fromisoformat(summary.created_at)
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"{source} is no summary of a snapshot: {type(error).__name__}: {error}.",
                "Run the task `validate` of that snapshot again, which writes it.",
            ) from error
        return summary

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self) | {"counts": [list(row) for row in self.counts]}


def unchecked(record: Mapping[str, Any]) -> SnapshotSummary:
    """What a snapshot's own record says, which was written before anything was expected of it."""
    names = ("snapshot_id", "parent", "created_at", "images", "added", "excluded", "seen", "quarantined")
    return SnapshotSummary(
        **{name: record[name] for name in names},
        quarantined_by_reason=record["quarantined_by_reason"],
        notes=tuple(record["notes"]),
    )


def checked(results: Sequence[Mapping[str, Any]], has_report: bool, has_data_docs: bool) -> Checked:
    """What came of holding a snapshot against the expectations.

    Args:
        results: of :meth:`ml.quality.CheckResult.to_dict`.
        has_report: whether its page was written.
        has_data_docs: whether Great Expectations' own pages were.
    """
    failed = [one for one in results if one["status"] == "failed"]
    critical = tuple(_words(one) for one in failed if one["severity"] == "critical")
    warnings = tuple(_words(one) for one in failed if one["severity"] != "critical")
    verdict: Verdict = "failed" if critical else "warned" if warnings else "passed"
    return Checked(verdict, len(results), warnings, critical, has_report, has_data_docs)


def write_snapshot_summary(store: Store, summary: SnapshotSummary) -> None:
    """Keep a summary, in the place of any of the same snapshot."""
    store.put(layout.snapshot_summary_key(summary.snapshot_id), dump_json(summary.to_dict()))
    write_pack(store, layout.SNAPSHOT_SUMMARIES)


def _words(result: Mapping[str, Any]) -> str:
    """What was expected and, unless that names images, what was found."""
    found = "" if result["about"] == "images" else f" ({result['observed']})"
    return f"{result['title']}: {result['required']}{found}"
