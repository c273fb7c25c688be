"""Airflow's notifiers: they tell of failed runs, doubtful data and missed deadlines through the configured channels."""

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

__all__ = ["DeadlineNotifier", "FailureNotifier", "warn_of_quality"]

log = logging.getLogger(__name__)


class FailureNotifier(BaseNotifier):
    """Tells that a run has failed, once: by its first task that failed for good.

    It is a task's callback, not a DAG's: only a task's has the exception, with its numbers and its remedy. A DAG's
    callback knows which task failed and runs in the DAG processor, which needs neither the settings nor the network.
    """

    def notify(self, context: Context) -> None:
        """Send the alert. Where it cannot be sent, the log says so; the task's own failure stays what it is."""
        from ml.alerting import failure_alert, send

        run = _task_of(context)
        settings = _alert_settings()
        if settings is None or _is_told_already(context, run):
            return
        error: Any = context.get("exception")
        send(failure_alert(error, run, _base_url(settings), datetime.now(UTC)), settings)


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


def _is_told_already(context: Context, run: RunReference) -> bool:
    """Whether another task of the run, one that sorts before this one, has failed.

    Tasks that fail at the same moment see each other; exactly one of them tells. A task that sorts before one that
    failed earlier tells again: better twice than never, so an Airflow that does not answer is no reason to be silent.
    """
    task: Any = context["ti"]
    try:
        states = task.get_task_states(dag_id=run.dag_id, run_ids=[run.run_id])
    except Exception:
        log.exception("it is not known whether another task of %s has failed", run.run_id)
        return False
    own = run.task_id if run.map_index < 0 else f"{run.task_id}_{run.map_index}"
    earlier = sorted(name for name, state in states.get(run.run_id, {}).items() if state == "failed" and name < own)
    if earlier:
        log.info("no alert for %s: %s of this run has failed too, and tells", own, earlier[0])
    return bool(earlier)
