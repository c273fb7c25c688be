"""Alerts from Airflow: failed runs, doubtful data, rejected winners, what waits for a person, missed deadlines."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseNotifier, get_current_context
from airflow.sdk.configuration import conf

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow.sdk.definitions.context import Context

    from ml.alerting import RunReference
    from ml.config import AlertSettings, Settings
    from ml.context import Context as StepContext

__all__ = [
    "FAILURE_KEY",
    "DeadlineNotifier",
    "FailureNotifier",
    "record_failure",
    "tell_of_approval",
    "tell_of_rollback",
    "warn_of_canary",
    "warn_of_findings",
    "warn_of_quality",
    "warn_of_rejection",
    "warn_of_silence",
    "warn_of_watch",
]

log = logging.getLogger(__name__)


#: Where a task leaves what it knows of its failure for the run's callback.
FAILURE_KEY = "failure"


def record_failure(context: Context) -> None:
    """Leave what is known of a task's failure: a callback for tasks, and the only one that has the exception."""
    from ml.alerting import describe_failure

    task: Any = context["ti"]
    error: Any = context.get("exception")
    task.xcom_push(key=FAILURE_KEY, value=describe_failure(error))


class FailureNotifier(BaseNotifier):
    """Tells that a run has failed.

    It is a DAG's callback, which Airflow calls once for a failed run, however many tasks failed. A task's callback
    would tell of each of them, and of none whose process was killed. It runs in the DAG processor.
    """

    def notify(self, context: Context) -> None:
        """Send the alert. Where it cannot be sent, the log says so; the run's own failure stays what it is."""
        from ml.alerting import RunReference, failure_alert, send

        settings = _alert_settings()
        if settings is None:
            return
        # Airflow types it as a task's; without a task to name, it holds the DAG and the run's id only.
        values: Any = context
        task, failure, others = values.get("ti"), None, []
        run = RunReference(values["dag"].dag_id, values["run_id"]) if task is None else _task_of(context)
        if task is not None and values["reason"] == "task_failure":
            failure, others = _failure_of(task), _failed_beside(task)
        send(failure_alert(values["reason"], failure, run, others, _base_url(settings), datetime.now(UTC)), settings)


class DeadlineNotifier(BaseNotifier):
    """Tells that a run has not ended by its deadline. It runs in the triggerer."""

    async def async_notify(self, context: Context) -> None:
        """Send the alert without blocking what else the triggerer waits for."""
        await asyncio.to_thread(self.notify, context)

    def notify(self, context: Context) -> None:
        """Send the alert; the context holds the run and its deadline, and nothing else."""
        from ml.alerting import RunReference, deadline_alert, send

        settings = _alert_settings()
        if settings is None:
            return
        # Airflow types a callback's context as a task's; this one comes from the scheduler, as JSON.
        values: Any = context
        run, deadline = values["dag_run"], values["deadline"]["deadline_time"]
        alert = deadline_alert(
            RunReference(run["dag_id"], run["dag_run_id"]),
            state=str(run["state"]),
            queued_at=str(run["queued_at"]),
            deadline=str(deadline),
            base_url=_base_url(settings),
            at=datetime.now(UTC),
        )
        send(alert, settings)


def warn_of_quality(settings: Settings, validation: Mapping[str, Any]) -> None:
    """Send one alert with all expectations of a validation that are not met and only warn; none when all are met."""
    from ml.alerting import quality_alert, send

    if validation["warnings"]:
        run, base_url = _task_of(get_current_context()), _base_url(settings.alerts)
        send(quality_alert(validation, run, base_url, datetime.now(UTC)), settings.alerts)


def warn_of_rejection(context: StepContext, decision: Mapping[str, Any]) -> None:
    """Send one alert with all rules that a run's winner has missed; none when the gate has cleared it."""
    from ml import layout
    from ml.alerting import rejection_alert, send

    if not decision["promoted"]:
        settings = context.settings.alerts
        run, base_url = _task_of(get_current_context()), _base_url(settings)
        page = context.store.uri(layout.run_key(decision["run_id"], "report.html"))
        send(rejection_alert(decision, page, run, base_url, datetime.now(UTC)), settings)


def tell_of_approval(settings: Settings, request: Mapping[str, Any], until: datetime) -> None:
    """Tell that a winner waits for a person, and where to answer."""
    from ml.alerting import approval_alert, send

    run, base_url = _task_of(get_current_context()), _base_url(settings.alerts)
    send(approval_alert(request, until, run, base_url, datetime.now(UTC)), settings.alerts)


def warn_of_silence(settings: Settings, reason: str) -> None:
    """Tell that a winner was rejected because nobody has answered."""
    from ml.alerting import send, unanswered_alert

    run, base_url = _task_of(get_current_context()), _base_url(settings.alerts)
    send(unanswered_alert(reason, run, base_url, datetime.now(UTC)), settings.alerts)


def warn_of_canary(settings: Settings, trial: Mapping[str, Any]) -> None:
    """Tell that a version did not stand its trial; nothing when it did."""
    from ml.alerting import canary_alert, send

    if not trial["passed"]:
        run, base_url = _task_of(get_current_context()), _base_url(settings.alerts)
        send(canary_alert(trial, run, base_url, datetime.now(UTC)), settings.alerts)


def warn_of_watch(settings: Settings, watch: Mapping[str, Any]) -> None:
    """Tell that a version does badly after the swap; nothing when it does not."""
    from ml.alerting import send, taken_back_alert

    if not watch["kept"]:
        run, base_url = _task_of(get_current_context()), _base_url(settings.alerts)
        send(taken_back_alert(watch, run, base_url, datetime.now(UTC)), settings.alerts)


def tell_of_rollback(settings: Settings, change: Mapping[str, Any]) -> None:
    """Tell that somebody made another version the stable one."""
    from ml.alerting import rollback_alert, send

    run, base_url = _task_of(get_current_context()), _base_url(settings.alerts)
    send(rollback_alert(change, run, base_url, datetime.now(UTC)), settings.alerts)


def warn_of_findings(settings: Settings, report: Mapping[str, Any]) -> None:
    """Send one alert with all that the monitor found beyond its limits; none where nobody is to be told."""
    from ml.alerting import monitoring_alert, send

    if report["alert"]:
        run, base_url = _task_of(get_current_context()), _base_url(settings.alerts)
        send(monitoring_alert(report, run, base_url, datetime.now(UTC)), settings.alerts)


def _alert_settings() -> AlertSettings | None:
    from ml.config import load_settings
    from ml.errors import ConfigError

    try:
        return load_settings().alerts
    except ConfigError as error:
        # Often the very reason why the task failed, so there is nothing to send with.
        log.error("no alert could be sent: %s", error)  # noqa: TRY400
        return None


def _base_url(settings: AlertSettings) -> str:
    return settings.base_url or conf.get("api", "base_url", fallback="http://localhost:8080")


def _task_of(context: Context) -> RunReference:
    from ml.alerting import RunReference

    task: Any = context["ti"]
    map_index = -1 if task.map_index is None else task.map_index
    return RunReference(task.dag_id, task.run_id, task.task_id, map_index, task.try_number)


def _failure_of(task: Any) -> dict[str, Any] | None:
    try:
        found = task.xcom_pull(task_ids=task.task_id, map_indexes=task.map_index, key=FAILURE_KEY)
    except Exception:
        # An alert without details is better than none.
        log.exception("what %s left of its failure cannot be read", task.task_id)
        return None
    return found if isinstance(found, dict) else None


def _failed_beside(task: Any) -> list[str]:
    """Further tasks of the run that failed, a mapped one with its index at the end."""
    own = task.task_id if task.map_index < 0 else f"{task.task_id}_{task.map_index}"
    try:
        states = task.get_task_states(dag_id=task.dag_id, run_ids=[task.run_id]).get(task.run_id, {})
    except Exception:
        log.exception("which tasks of %s failed cannot be read", task.run_id)
        return []
    return sorted(name for name, state in states.items() if state == "failed" and name != own)
