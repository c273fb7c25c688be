"""Whether components are ready: what they answer, and how fresh that is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import requests

from infra.local.airflow_api import AirflowApi
from infra.local.components import AIRFLOW_HEALTH, MODEL_SERVER
from infra.local.errors import AirflowApiError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from infra.local.airflow_api import Health
    from infra.local.layout import Layout

__all__ = ["ready_components"]

PROBE_SECONDS = 5.0


def ready_components(
    layout: Layout, model_name: str, since: Mapping[str, datetime], waiting: Sequence[str]
) -> list[str]:
    """Those of the components that are ready; one just started must have given a sign of life ``since`` then."""
    health = _airflow_health(layout.airflow_url) if set(waiting) & set(AIRFLOW_HEALTH) else {}
    ready = {
        name for name, part in AIRFLOW_HEALTH.items() if part in health and _is_well(health[part], since.get(name))
    }
    if MODEL_SERVER in waiting and _serves(f"{layout.rest_url}/v1/models/{model_name}"):
        ready.add(MODEL_SERVER)
    return [name for name in waiting if name in ready]


def _is_well(health: Health, since: datetime | None) -> bool:
    # Airflow calls a part healthy for half a minute after the last heartbeat, which may be of a process that is gone.
    stale = since is not None and health.heartbeat is not None and health.heartbeat < since
    return health.status == "healthy" and not stale


def _airflow_health(url: str) -> dict[str, Health]:
    try:
        # Needs no sign-in, so no password.
        with AirflowApi(url, "", "") as api:
            return api.health()
    except AirflowApiError:  # not yet; the caller has a time limit
        return {}


def _serves(url: str) -> bool:
    with requests.Session() as session:
        session.trust_env = False
        try:
            answer = session.get(url, timeout=PROBE_SECONDS)
        except requests.RequestException:  # not yet; the caller has a time limit
            return False
    # 404 says that there is no version so far: the server itself is fine.
    return answer.status_code in (200, 404)
