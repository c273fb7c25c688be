"""Alerts from Airflow: what every DAG has so that people hear of its runs, and what tasks tell."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk import get_current_context

from plugins.addresses import models_page, monitoring_page, run_page, snapshot_page
from plugins.deadlines import run_deadline
from plugins.notifiers import DeadlineNotifier, FailureNotifier, airflow_url, record_failure, reference_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ml.alerting import Alert
    from ml.config import Settings
    from ml.context import Context

__all__ = [
    "DeadlineNotifier",
    "FailureNotifier",
    "dag_alerts",
    "record_failure",
    "tell_of_approval",
    "tell_of_promotion",
    "tell_of_rollback",
    "warn_of_canary",
    "warn_of_findings",
    "warn_of_quality",
    "warn_of_rejection",
    "warn_of_silence",
    "warn_of_watch",
]

log = logging.getLogger(__name__)


def dag_alerts(dag_id: str) -> dict[str, Any]:
    """Arguments of every DAG: who is told when a run fails, and when it takes too long.

    Its tasks need :func:`record_failure`, which the arguments that all tasks share have.

    Raises:
        ConfigError: the variable with the DAG's deadline is no number of minutes.
    """
    return {"on_failure_callback": FailureNotifier(), "deadline": run_deadline(dag_id)}


def warn_of_quality(settings: Settings, validation: Mapping[str, Any]) -> None:
    """Send one alert with all expectations of a validation that are not met and only warn; none when all are met."""
    from ml.alerting import quality_alert

    if validation["warnings"]:
        page = snapshot_page(airflow_url(settings), validation["snapshot_id"])
        _tell(settings, quality_alert, validation, pages={"page of the snapshot": page})


def warn_of_rejection(context: Context, decision: Mapping[str, Any]) -> None:
    """Send one alert with all rules that a run's winner has missed; none when the gate has cleared it."""
    from ml.alerting import rejection_alert

    if not decision["promoted"]:
        _tell(context.settings, rejection_alert, decision, pages=_run_pages(context, decision["run_id"]))


def tell_of_approval(context: Context, request: Mapping[str, Any], until: datetime) -> None:
    """Tell that a winner waits for a person, and where to answer."""
    from ml.alerting import approval_alert

    _tell(context.settings, approval_alert, request, until, pages=_run_pages(context, request["run_id"]))


def warn_of_silence(context: Context, run_id: str, reason: str) -> None:
    """Tell that a winner was rejected because nobody has answered."""
    from ml.alerting import unanswered_alert

    _tell(context.settings, unanswered_alert, reason, pages=_run_pages(context, run_id))


def warn_of_canary(settings: Settings, trial: Mapping[str, Any]) -> None:
    """Tell that a version did not stand its trial; nothing when it did."""
    from ml.alerting import canary_alert

    if not trial["passed"]:
        _tell(settings, canary_alert, trial, pages=_serving_pages(settings, trial["run_id"]))


def tell_of_promotion(context: Context, promotion: Mapping[str, Any]) -> None:
    """Tell that another version is the champion; nothing where one has taken its place by now.

    A promotion that is on record does not fail for want of words about it.
    """
    from ml.alerting import promotion_alert
    from ml.errors import QuartetError
    from ml.promoted import describe_promotion

    settings = context.settings
    try:
        promoted = describe_promotion(context.store, settings.model_name, promotion["number"])
    except QuartetError:
        log.exception("nobody is told of promotion %s: what it rests on cannot be read", promotion["number"])
        return
    if promoted is not None:
        _tell(settings, promotion_alert, promoted, pages=_serving_pages(settings, promotion["run_id"]))


def warn_of_watch(settings: Settings, watch: Mapping[str, Any]) -> None:
    """Tell that a version does badly after the swap; nothing when it does not."""
    from ml.alerting import taken_back_alert

    if not watch["kept"]:
        _tell(settings, taken_back_alert, watch, pages=_serving_pages(settings, watch["run_id"]))


def tell_of_rollback(settings: Settings, change: Mapping[str, Any]) -> None:
    """Tell that somebody made another version the stable one."""
    from ml.alerting import rollback_alert

    _tell(settings, rollback_alert, change, pages={"Models page": models_page(airflow_url(settings))})


def warn_of_findings(settings: Settings, report: Mapping[str, Any]) -> None:
    """Send one alert with all that the monitor found beyond its limits; none where nobody is to be told."""
    from ml.alerting import monitoring_alert

    if report["alert"]:
        page = monitoring_page(airflow_url(settings), report["monitor_id"])
        _tell(settings, monitoring_alert, report, pages={"page of the look": page})


def _tell(settings: Settings, make: Callable[..., Alert], *about: Any, pages: Mapping[str, str]) -> None:
    """Make an alert about the task that runs here, and send it.

    Args:
        settings: with the channels.
        make: of :mod:`ml.alerting`.
        about: what it takes first.
        pages: addresses that show more, by what they are.
    """
    from ml.alerting import Link, tell

    run, base_url = reference_of(get_current_context()), airflow_url(settings)
    tell(make(*about, [Link(*page) for page in pages.items()], run, base_url, datetime.now(UTC)), settings)


def _run_pages(context: Context, run_id: str) -> dict[str, str]:
    from ml import layout

    return {
        "page of the run": run_page(airflow_url(context.settings), run_id),
        "page in the store": context.store.uri(layout.run_key(run_id, "report.html")),
    }


def _serving_pages(settings: Settings, run_id: str) -> dict[str, str]:
    base_url = airflow_url(settings)
    return {"Models page": models_page(base_url), "page of the run": run_page(base_url, run_id)}
