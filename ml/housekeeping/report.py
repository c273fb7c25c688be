"""What people read of a housekeeping: what goes or went, how much that is, what stays and why."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ml import layout
from ml.report import environment

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ml.config import RetentionSettings
    from ml.context import Context
    from ml.housekeeping.items import Item
    from ml.housekeeping.plan import Plan

__all__ = ["KINDS", "HousekeepingPage", "count", "describe", "write_page"]

KINDS = {
    "run": "Runs",
    "version": "Published versions",
    "features": "Feature maps",
    "quarantine": "Bytes in quarantine",
    "arrivals": "Notes of ingests",
    "predictions": "Batches of predictions",
}
#: Those of which each that stays is told; of the others how many do.
TOLD = ("run", "version", "features")


@dataclass(frozen=True)
class HousekeepingPage:
    """All that the page shows.

    Attributes:
        housekeeping_id: of the run.
        created_at: when it was planned.
        carried_out: whether it was, and not only planned.
        going: what goes or went.
        kept: what was planned to go and is needed by now, with the reason.
        staying: kind, name and reason.
        counts: kind, reason and number of what stays.
        days: settings, by name.
        notices: shown first.
    """

    housekeeping_id: str
    created_at: datetime
    carried_out: bool
    going: Sequence[Item]
    kept: Sequence[Mapping[str, Any]]
    staying: Sequence[Mapping[str, str]]
    counts: Sequence[tuple[str, str, int]]
    days: Mapping[str, int | None]
    notices: tuple[str, ...] = ()

    @property
    def totals(self) -> dict[str, tuple[int, int, int]]:
        """Things, objects and bytes that go, by kind."""
        return {
            title: (len(items), sum(one.objects for one in items), sum(one.bytes for one in items))
            for kind, title in KINDS.items()
            if (items := [one for one in self.going if one.kind == kind])
        }

    def kind(self, name: str) -> str:
        """As people call it."""
        return KINDS[name]


def count(items: Iterable[Item]) -> dict[str, int]:
    """Objects and bytes."""
    listed = list(items)
    return {"objects": sum(one.objects for one in listed), "bytes": sum(one.bytes for one in listed)}


def describe(retention: RetentionSettings, plan: Plan, now: datetime) -> dict[str, Any]:
    """A plan as JSON, but for what goes."""
    staying = [one for one in plan.staying if one.kind in TOLD]
    others = Counter((one.kind, one.why) for one in plan.staying if one.kind not in TOLD)
    return {
        "at": now.isoformat(),
        "retention": retention.model_dump(),
        "staying": [{"kind": one.kind, "name": one.name, "why": one.why} for one in staying],
        "counts": [[kind, why, number] for (kind, why), number in sorted(others.items())],
    }


def write_page(context: Context, housekeeping_id: str, document: Mapping[str, Any]) -> str:
    """Write the page of a plan, or of what became of it; returns its address in the store."""
    page = HousekeepingPage(
        housekeeping_id=housekeeping_id,
        created_at=datetime.fromisoformat(document["at"]),
        carried_out=document["carried_out"] is not None,
        going=document["going"],
        kept=document.get("kept", ()),
        staying=document["staying"],
        counts=[(kind, why, number) for kind, why, number in document["counts"]],
        days=document["retention"],
    )
    key = layout.housekeeping_key(housekeeping_id, "report.html")
    context.store.put(key, environment().get_template("housekeeping.html.j2").render(page=page).encode())
    return context.store.uri(key)
