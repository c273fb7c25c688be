"""The records of what became champion, when, from which run and why."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ml import layout
from ml.errors import AlreadyExistsError
from ml.storage import dump_json, read_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ml.storage import Store

__all__ = ["load_promotions", "newest_promotion", "promotion_of", "record_promotion"]

log = logging.getLogger(__name__)


def load_promotions(store: Store, model_name: str) -> list[dict[str, Any]]:
    """All records of a model, by version."""
    return [dict(read_json(store, info.key)) for info in store.list(f"{layout.PROMOTIONS}{model_name}/")]


def promotion_of(records: Sequence[dict[str, Any]], run_id: str, variant: str) -> dict[str, Any] | None:
    """The record of a run's winner; None where it was not promoted."""
    return next((record for record in records if (record["run_id"], record["variant"]) == (run_id, variant)), None)


def newest_promotion(records: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """The record of what became champion last."""
    return max(records, key=lambda record: datetime.fromisoformat(record["at"]), default=None)


def record_promotion(store: Store, model_name: str, promotion: dict[str, Any], now: datetime) -> None:
    """Append a record; a version has one, however often its promotion is tried."""
    key = f"{layout.PROMOTIONS}{model_name}/{promotion['version']:08d}.json"
    try:
        store.put_if_absent(key, dump_json(promotion | {"at": now.isoformat()}))
    except AlreadyExistsError:
        log.info("%s was recorded before", key)
