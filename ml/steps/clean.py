"""Task ``clean``: remove what ``plan_housekeeping`` found, unless something needs it by now."""

from __future__ import annotations

import logging
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ml import layout
from ml.errors import NotFoundError
from ml.housekeeping import Item, plan_removal, remove
from ml.housekeeping.report import count, write_page
from ml.run_summaries import pack_records
from ml.steps.plan_housekeeping import PLAN
from ml.storage import dump_json, read_json
from ml.threads import map_ahead

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ml.context import Context

__all__ = ["REPORT", "run"]

log = logging.getLogger(__name__)

REPORT = "report.json"
WORKERS = 8
#: Many, small, and without a registry behind them.
TOGETHER = {"quarantine", "arrivals"}


def run(context: Context, housekeeping_id: str, now: datetime) -> dict[str, Any]:
    """Remove what the plan says goes, as far as a look at everything as it is now says so too.

    Killed and run again, it goes on, and its report is about the whole plan.

    Args:
        context: settings and store.
        housekeeping_id: of the plan.
        now: kept as when the removal was.

    Returns:
        ``removed``, the number of things, ``objects``, ``bytes``, ``kept``, the number of those that are needed by now,
        and ``page``.

    Raises:
        NotFoundError: there is no plan.
        StoreError: the store or the registry does not answer.
    """
    store = context.store
    key = layout.housekeeping_key(housekeeping_id, PLAN)
    try:
        plan = read_json(store, key)
    except NotFoundError as error:
        raise NotFoundError(f"There is no plan {store.uri(key)}.", "Run `plan_housekeeping` first.") from error
    planned = [Item.from_dict(one) for one in plan["going"]]
    # Days are counted from when it was planned: nobody has seen a plan about what got old since.
    since = datetime.fromisoformat(plan["at"])
    fresh = {item.prefix: item for item in plan_removal(context, since).items}
    removed, kept = [], []
    for item, why in zip(planned, _remove(context, planned, fresh, since, now), strict=True):
        if why:
            log.info("%s %s stays: it %s", item.kind, item.name, why)
            kept.append(asdict(item) | {"why": why, "goes": False})
        else:
            removed.append(item)
    pack_records(store, context.settings.model_name)
    total = count(removed)
    document = plan | {"going": [asdict(item) for item in removed], "carried_out": now.isoformat(), "kept": kept}
    store.put(layout.housekeeping_key(housekeeping_id, REPORT), dump_json(document))
    page = write_page(context, housekeeping_id, document | {"going": tuple(removed)})
    log.info("%d things removed, %d objects, %d bytes, %d kept after all: %s", len(removed), total["objects"],
             total["bytes"], len(kept), page)  # fmt: skip
    return {"removed": len(removed), **total, "kept": len(kept), "page": page}


def _remove(
    context: Context, planned: Sequence[Item], fresh: dict[str, Item], since: datetime, now: datetime
) -> Iterator[str]:
    """Why each stays after all, in the order of the plan; empty where it is gone."""

    def one(item: Item) -> str:
        found = fresh.get(item.prefix)
        if found is None:  # gone already
            return ""
        return remove(context, found, since, now) if found.goes else found.why

    def group(kind: str) -> list[Item]:
        return [item for item in planned if item.kind == kind]

    for kind in dict.fromkeys(item.kind for item in planned):
        yield from map_ahead(one, group(kind), WORKERS if kind in TOGETHER else 1, "clean")
