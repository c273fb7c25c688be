"""Task ``check_serving``: whether the model server and the registry say what the record says."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from ml import layout
from ml.errors import ServingError
from ml.monitoring import Served, judge_serving
from ml.promotions import newest_change
from ml.registry import Registry
from ml.storage import dump_json

if TYPE_CHECKING:
    from datetime import datetime

    from ml.config import Settings
    from ml.context import Context

__all__ = ["run"]

log = logging.getLogger(__name__)

#: So long after a change the server may still load the version.
SETTLING = timedelta(minutes=2)


def run(context: Context, monitor_id: str, now: datetime) -> dict[str, Any]:
    """Ask the model server and the registry which version is in production; what does not answer is a finding.

    Returns:
        ``version`` of the record, None before the first promotion, and ``findings``.
    """
    settings = context.settings
    change = newest_change(context.store, settings.model_name)
    recorded = change.serving.stable if change else None
    served = Served(recorded)
    if change is not None and recorded is not None:
        at_server, server_error = _at_server(settings)
        in_registry, registry_error = _in_registry(settings)
        settling = now - change.when < SETTLING
        served = Served(recorded, at_server, in_registry, server_error, registry_error, settling)
    found = {
        "version": recorded,
        "at_server": served.at_server,
        "in_registry": served.in_registry,
        "findings": [finding.to_dict() for finding in judge_serving(served)],
    }
    context.store.put(
        layout.monitoring_key(settings.model_name, layout.safe_run_id(monitor_id), "serving.json"), dump_json(found)
    )
    log.info("recorded %s, at the server %s, in the registry %s", recorded, served.at_server, served.in_registry)
    return found


def _at_server(settings: Settings) -> tuple[int | None, str]:
    from serving.client import GrpcClient

    try:
        with GrpcClient.from_settings(settings) as client:
            return client.metadata().version, ""
    except ServingError as error:
        return None, error.message


def _in_registry(settings: Settings) -> tuple[int | None, str]:
    from mlflow.exceptions import MlflowException

    try:
        return Registry(settings).champion(), ""
    except MlflowException as error:
        return None, f"{settings.tracking_uri} does not answer: {error}"
