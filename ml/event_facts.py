"""What the events of assets say: ids, counts and figures, small enough for a page of Airflow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ml import layout
from ml.manifest import MANIFEST, from_parquet
from ml.promotions import champion_of, load_changes
from ml.storage import find_json

if TYPE_CHECKING:
    from ml.context import Context

__all__ = ["champion_facts", "snapshot_facts"]


def snapshot_facts(context: Context, snapshot_id: str) -> dict[str, Any]:
    """Counts of a snapshot's images.

    Returns:
        ``splits`` and ``classes``, images by name, in the order of their names.
    """
    key = layout.snapshot_key(snapshot_id, "manifest.parquet")
    images = from_parquet(context.store.get(key), MANIFEST, ["label", "split"])
    counts = {name: images[name].value_counts().sort_index() for name in ("split", "label")}
    splits, classes = ({str(name): int(count) for name, count in counts[one].items()} for one in ("split", "label"))
    return {"splits": splits, "classes": classes}


def champion_facts(context: Context, number: int) -> dict[str, Any]:
    """Which version a record of what serves has made the champion, and why.

    Args:
        context: settings and store.
        number: of the record.

    Returns:
        ``action``, ``number``, ``by`` and ``reason`` of the record; of the champion after it ``version``, ``run_id``,
        ``variant``, ``snapshot_id``, ``uri`` and ``macro_f1`` on the test split of its run, None where that is gone;
        ``before``, the version that was the champion before it, None for the first.
    """
    store, name = context.store, context.settings.model_name
    changes = [change for change in load_changes(store, name) if change.number <= number]
    champion, before = champion_of(changes), champion_of(changes[:-1])
    assert champion is not None, f"record {number} leaves {name} without a version"
    return {
        **{fact: getattr(changes[-1], fact) for fact in ("action", "number", "by", "reason")},
        "version": champion.version,
        "run_id": champion.run_id,
        "variant": champion.variant,
        "snapshot_id": next(change.snapshot_id for change in changes if change.version == champion.version),
        "uri": store.uri(layout.model_prefix(name, champion.version)),
        "macro_f1": _macro_f1(context, champion.run_id, champion.variant),
        "before": before and before.version,
    }


def _macro_f1(context: Context, run_id: str, variant: str) -> float | None:
    evaluation = find_json(context.store, layout.run_key(run_id, "evaluation.json"))
    rows = evaluation["leaderboard"] if evaluation is not None else ()
    return next((float(row["macro_f1"]) for row in rows if row["variant"] == variant), None)
