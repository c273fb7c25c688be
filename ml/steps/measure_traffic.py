"""Task ``measure_traffic``: errors and latency since the last look, by the model server's own counters."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ml import layout
from ml.errors import ServingError
from ml.monitor_state import load_state
from ml.monitoring import Traffic, judge_traffic
from ml.storage import dump_json

if TYPE_CHECKING:
    from ml.config import Settings
    from ml.context import Context
    from ml.monitor_state import MonitorState
    from serving.metrics import ServerMetrics

__all__ = ["run"]

log = logging.getLogger(__name__)


def run(context: Context, monitor_id: str, now: datetime) -> dict[str, Any]:
    """Read the counters, and judge what was added since the last look; what cannot be measured is said.

    Returns:
        ``requests`` by status, ``p95_ms``, ``counters`` as they are now, ``at`` and ``findings``.
    """
    from serving.metrics import dump_metrics

    settings = context.settings
    state = load_state(context.store, settings.model_name)
    counters, why = _read(settings)
    added, traffic = _traffic(counters, state)
    found = {
        "at": now.isoformat(),
        "requests": dict(added.requests) if added else {},
        "p95_ms": traffic.p95_ms if traffic else None,
        "since": traffic.since if traffic else None,
        "counters": dump_metrics(counters) if counters else None,
        "findings": [finding.to_dict() for finding in judge_traffic(traffic, settings.monitoring, why)],
    }
    context.store.put(
        layout.monitoring_key(settings.model_name, layout.safe_run_id(monitor_id), "traffic.json"), dump_json(found)
    )
    log.info("traffic: %s", traffic or why)
    return found


def _read(settings: Settings) -> tuple[ServerMetrics | None, str]:
    from serving.metrics import read_metrics

    try:
        counters = read_metrics(settings)
    except ServingError as error:
        log.warning("%s", error)
        serving = settings.serving
        return None, f"the model server does not answer over REST, at {serving.host}:{serving.rest_port}"
    return counters, "" if counters else "the model server shows no metrics (--monitoring_config_file)"


def _traffic(counters: ServerMetrics | None, state: MonitorState) -> tuple[ServerMetrics | None, Traffic | None]:
    from serving.metrics import load_metrics

    if counters is None:
        return None, None
    added, since = counters, "the server started"
    if state.counters is not None and state.counted_at is not None:
        added = counters.since(load_metrics(state.counters))
        if added is not counters:
            since = f"{datetime.fromisoformat(state.counted_at):%Y-%m-%d %H:%M} UTC"
    return added, Traffic(added.total, added.errors, added.quantile_ms(0.95), since)
