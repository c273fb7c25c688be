"""What the monitor remembers from look to look: the server's counters, what it has told, and for whom it retrained."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from ml import layout
from ml.errors import NotFoundError
from ml.storage import dump_json, read_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ml.storage import Store

__all__ = ["MonitorState", "load_state", "save_state"]

STATE = "state.json"


@dataclass(frozen=True)
class MonitorState:
    """What was known after the last look.

    Attributes:
        at: when that was, in ISO 8601; None before the first.
        counters: the server's, as :func:`serving.metrics.dump_metrics` writes them; None where it showed none.
        counted_at: when these were read.
        told: names of what the last alert said is beyond its limit, as far as it has been ever since.
        told_at: when that was sent.
        retrained: the look that started `retrain` for a version's drift, by the version as text.
    """

    at: str | None = None
    counters: Mapping[str, Any] | None = None
    counted_at: str | None = None
    told: tuple[str, ...] = ()
    told_at: str | None = None
    retrained: Mapping[str, str] = field(default_factory=dict)

    def should_tell(self, names: frozenset[str], now: datetime, remind: timedelta) -> bool:
        """Whether an alert is due: for something new, or as a reminder of what stays."""
        if not names:
            return False
        if self.told_at is None or names - set(self.told):
            return True
        return now - datetime.fromisoformat(self.told_at) >= remind


def load_state(store: Store, model_name: str) -> MonitorState:
    """What is remembered of a model; empty before the first look."""
    try:
        document = read_json(store, layout.monitoring_key(model_name, STATE))
    except NotFoundError:
        return MonitorState()
    return MonitorState(**document | {"told": tuple(document["told"])})


def save_state(store: Store, model_name: str, state: MonitorState) -> None:
    """Remember it."""
    store.put(layout.monitoring_key(model_name, STATE), dump_json(vars(state)))
