"""Task ``plan_housekeeping``: find what is older than ``retention`` allows and needed by nothing."""

from __future__ import annotations

import logging
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ml import layout
from ml.housekeeping import plan_removal
from ml.housekeeping.report import count, describe, write_page
from ml.storage import dump_json

if TYPE_CHECKING:
    from datetime import datetime

    from ml.context import Context

__all__ = ["PLAN", "run"]

log = logging.getLogger(__name__)

PLAN = "plan.json"


def run(context: Context, housekeeping_id: str, now: datetime) -> dict[str, Any]:
    """List what is to go and what stays, each with its reason, as ``plan.json`` and on a page; nothing is removed.

    Args:
        context: settings and store.
        housekeeping_id: under which the other steps find the plan.
        now: days are counted back from it.

    Returns:
        ``at``, ``going``, the number of things to be removed, ``objects``, ``bytes``, and ``page``.

    Raises:
        StoreError: the store does not answer, or the registry where versions might go.
        DataError: a record of what serves is damaged.
    """
    plan = plan_removal(context, now)
    document = describe(context.settings.retention, plan, now)
    store = context.store
    store.put(
        layout.housekeeping_key(housekeeping_id, PLAN),
        dump_json(document | {"going": [asdict(item) for item in plan.going]}),
    )
    total = count(plan.going)
    page = write_page(context, housekeeping_id, document | {"going": plan.going, "carried_out": None})
    log.info("%d things may go, %d objects, %d bytes: %s", len(plan.going), total["objects"], total["bytes"], page)
    return {"at": now.isoformat(), "going": len(plan.going), **total, "page": page}
