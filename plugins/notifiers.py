"""Airflow's callbacks for a run that failed and for one that is late, and what both and the tasks need to tell."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseNotifier

from plugins.addresses import base_address, snapshot_page

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow.sdk.definitions.context import Context

    from ml.alerting import Link, RunReference
    from ml.config import Settings

__all__ = ["FAILURE_KEY", "DeadlineNotifier", "FailureNotifier", "airflow_url", "record_failure", "reference_of"]

log = logging.getLogger(__name__)

#: Where a task leaves what it knows of its failure for the run's callback.
FAILURE_KEY = "failure"
#: The task of `retrain` that waits for a person.
APPROVE = "approve"
#: Of a run: Airflow forgets the deadline of one that succeeded, and not that of one that failed.
ENDED = ("success", "failed")


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
        from ml.alerting import RunReference, failure_alert, tell

        settings = _settings()
        if settings is None:
            return
        # Airflow types it as a task's; without a task to name, it holds the DAG and the run's id only.
        values: Any = context
        task, failure, others = values.get("ti"), None, []
        run = RunReference(values["dag"].dag_id, values["run_id"]) if task is None else reference_of(context)
        if task is not None and values["reason"] == "task_failure":
            failure, others = _failure_of(task), _failed_beside(task)
        base_url, now = airflow_url(settings), datetime.now(UTC)
        pages = _pages_of(failure, base_url)
        tell(failure_alert(values["reason"], failure, pages, run, others, base_url, now), settings)


class DeadlineNotifier(BaseNotifier):
    """Tells that a run has not ended by its deadline. It runs in the triggerer."""

    async def async_notify(self, context: Context) -> None:
        """Send the alert without blocking what else the triggerer waits for."""
        await asyncio.to_thread(self.notify, context)

    def notify(self, context: Context) -> None:
        """Send the alert; the context holds the run and its deadline, and nothing else."""
        from ml.alerting import RunReference, deadline_alert, tell

        # Airflow types a callback's context as a task's; this one comes from the scheduler, as JSON.
        values: Any = context
        run, deadline = values["dag_run"], values["deadline"]["deadline_time"]
        reference, state = RunReference(run["dag_id"], run["dag_run_id"]), str(run["state"])
        if state in ENDED:
            log.info("%s of %s has ended before its deadline: %s", reference.run_id, reference.dag_id, state)
            return
        settings = _settings()
        if settings is None:
            return
        base_url = airflow_url(settings)
        alert = deadline_alert(
            reference,
            state=state,
            queued_at=str(run["queued_at"]),
            deadline=str(deadline),
            waits_for=_approval_of(reference, settings, base_url),
            base_url=base_url,
            at=datetime.now(UTC),
        )
        tell(alert, settings)


def airflow_url(settings: Settings) -> str:
    """The address of Airflow's UI."""
    return settings.alerts.base_url or base_address()


def reference_of(context: Context) -> RunReference:
    """The task of a context, by its names."""
    from ml.alerting import RunReference

    task: Any = context["ti"]
    map_index = -1 if task.map_index is None else task.map_index
    return RunReference(task.dag_id, task.run_id, task.task_id, map_index, task.try_number)


def _settings() -> Settings | None:
    from ml.config import load_settings
    from ml.errors import ConfigError

    try:
        return load_settings()
    except ConfigError as error:
        # Often the very reason why the task failed, so there is nothing to send with.
        log.error("no alert could be sent: %s", error)  # noqa: TRY400
        return None


def _pages_of(failure: Mapping[str, Any] | None, base_url: str) -> list[Link]:
    from ml.alerting import Link

    snapshot_id = failure and failure.get("facts", {}).get("snapshot")
    return [Link("page of the snapshot", snapshot_page(base_url, snapshot_id))] if snapshot_id else []


def _approval_of(run: RunReference, settings: Settings, base_url: str) -> Link | None:
    """Where the answer is taken that the run waits for; None where it waits for none, or nobody can say."""
    from dataclasses import replace

    from ml.alerting import Link
    from ml.alerting.telling import quick_store
    from ml.approval import waits_for_answer
    from ml.errors import QuartetError

    if run.dag_id != "retrain":
        return None
    try:
        waits = waits_for_answer(quick_store(settings.store), run.run_id)
    except QuartetError as error:
        log.warning("whether %s waits for approval cannot be read: %s", run.run_id, error)
        return None
    return Link("answer", replace(run, task_id=APPROVE).answer_url(base_url)) if waits else None


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
