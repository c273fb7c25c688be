"""Watching a DAG run until it ends: each task's state as it changes, and what the pipeline says meanwhile."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from infra.local.errors import StackError
from infra.local.task_logs import TaskLog, task_log_file

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from infra.local.airflow_api import AirflowApi, DagRun, TaskInstance

__all__ = ["RunFollower", "wait_for_run"]

POLL_SECONDS = 1.0
#: From an asset's event to the run that it starts; the scheduler looks every few seconds.
START_SECONDS = 120.0
FINAL = {"success", "failed", "skipped", "upstream_failed", "removed"}


@dataclass
class RunFollower:
    """Follows one run.

    Attributes:
        api: Airflow's.
        logs: Airflow's folder of task logs.
        say: is told each change in a line.
        seconds: limit for the whole run.
    """

    api: AirflowApi
    logs: Path
    say: Callable[[str], None]
    seconds: float
    _logs: dict[tuple[str, int, int], TaskLog] = field(default_factory=dict)
    _states: dict[tuple[str, int], str | None] = field(default_factory=dict)
    _waiting: bool = False

    def follow(self, run: DagRun) -> DagRun:
        """Wait for the end.

        Raises:
            StackError: a task failed, with its error, or the time is over.
        """
        deadline = time.monotonic() + self.seconds
        while True:
            # In this order: a task seen as ended has written all of its log, and a run seen as ended all of its tasks.
            current = self.api.dag_run(run.dag_id, run.run_id)
            tasks = self.api.task_instances(run.dag_id, run.run_id)
            self._show_waiting(current)
            for task in sorted(tasks, key=lambda task: task.started_at or datetime.max.replace(tzinfo=UTC)):
                self._show(current, task)
            if current.finished:
                break
            if time.monotonic() > deadline:
                raise StackError(
                    f"{run.dag_id} has not ended after {self.seconds:.0f} seconds (run {run.run_id}).",
                    f"It goes on as long as the stack runs; see {self.api.url}.",
                )
            time.sleep(POLL_SECONDS)
        if current.state != "success":
            raise self._failure(current, tasks)
        return current

    def _show_waiting(self, run: DagRun) -> None:
        """Say once when a run waits for another one: each DAG runs one at a time."""
        if run.state != "queued" or self._waiting:
            return
        ahead = [other for other in self.api.latest_runs(run.dag_id) if other.state == "running"]
        if ahead:
            self._waiting = True
            self.say(f"waits until {ahead[0].run_id} has ended")

    def _show(self, run: DagRun, task: TaskInstance) -> None:
        name = _name(task)
        for line in self._log(run, task).new_lines():
            self.say(f"  {line}")
        before = self._states.get((task.task_id, task.map_index))
        self._states[(task.task_id, task.map_index)] = task.state
        if task.state == before:
            return
        if task.state == "running":
            self.say(f"{name} ...")
        elif task.state in FINAL:
            self.say(f"{name}: {task.state}{_duration(task)}")
        elif task.state == "up_for_retry":
            self.say(f"{name} failed and will be tried again: {self._log(run, task).failure()}")

    def _log(self, run: DagRun, task: TaskInstance) -> TaskLog:
        key = (task.task_id, task.map_index, task.try_number)
        if key not in self._logs:
            self._logs[key] = TaskLog(task_log_file(self.logs, run.dag_id, run.run_id, task))
        return self._logs[key]

    def _failure(self, run: DagRun, tasks: list[TaskInstance]) -> StackError:
        failed = [task for task in tasks if task.state == "failed"]
        if not failed:
            return StackError(f"{run.dag_id} {run.state} (run {run.run_id}).", f"See {self.api.url}.")
        task = failed[0]
        log = self._log(run, task)
        reason = log.failure() or "it left no error in its log"
        return StackError(f"Task {_name(task)} of {run.dag_id} failed. {reason}", f"All of its log is in {log.path}.")


def wait_for_run(api: AirflowApi, dag_id: str, since: datetime, seconds: float = START_SECONDS) -> DagRun:
    """The first run of a DAG that an asset's event has queued after a moment.

    Raises:
        StackError: none came.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        fresh = [run for run in api.latest_runs(dag_id) if run.queued_at is not None and run.queued_at >= since]
        if fresh:
            return fresh[-1]
        time.sleep(POLL_SECONDS)
    raise StackError(
        f"No run of {dag_id} has begun within {seconds:.0f} seconds.",
        f"Is the DAG paused? See {api.url}; `make logs` shows what the scheduler says.",
    )


def _name(task: TaskInstance) -> str:
    label = task.map_label if task.map_label is not None else str(task.map_index)
    return task.task_id if task.map_index < 0 else f"{task.task_id} [{label}]"


def _duration(task: TaskInstance) -> str:
    if task.started_at is None or task.ended_at is None:
        return ""
    lasted: timedelta = task.ended_at - task.started_at
    return f", {lasted.total_seconds():.1f} s"
