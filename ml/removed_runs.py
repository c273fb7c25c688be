"""Runs that were removed because their time was up: what is still known of them, and what cannot be done with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml import layout
from ml.errors import StoreError
from ml.storage import find_json

if TYPE_CHECKING:
    from ml.storage import Store

__all__ = ["removed_on", "removed_runs", "require_not_removed"]


def removed_runs(store: Store) -> frozenset[str]:
    """Ids, as the store spells them, of all runs that were removed: one listing, nothing is read."""
    keys = (info.key for info in store.list(layout.REMOVED_RUNS))
    return frozenset(key.removeprefix(layout.REMOVED_RUNS).removesuffix(".json") for key in keys)


def removed_on(store: Store, run_id: str) -> str | None:
    """The day on which a run was removed; None where it was not."""
    record = find_json(store, layout.removed_run_key(run_id))
    return None if record is None else str(record["removed_at"])[:10]


def require_not_removed(store: Store, run_id: str) -> None:
    """Whether a run is still there.

    Raises:
        StoreError: it is being removed at this moment. `housekeeping` looks once more, finds that it is in use, and
            lets it be; so trying again helps.
    """
    day = removed_on(store, run_id)
    if day is not None:
        raise StoreError(
            f"Run {run_id} is removed by retention since {day}.", "Try again in a minute; if that fails, retrain."
        )
