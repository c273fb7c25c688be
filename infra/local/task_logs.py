"""Airflow's task logs as they lie on disk: what the pipeline's own code said in them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from infra.local.airflow_api import TaskInstance

__all__ = ["TaskLog", "task_log_file"]

#: Loggers whose lines people want to see while they wait.
OURS = ("ml.", "serving.", "plugins.")


def task_log_file(logs: Path, dag_id: str, run_id: str, task: TaskInstance) -> Path:
    """Log of a task's latest try below Airflow's folder of logs, by its default file name template."""
    folder = logs / f"dag_id={dag_id}" / f"run_id={run_id}" / f"task_id={task.task_id}"
    if task.map_index >= 0:
        folder /= f"map_index={task.map_index}"
    return folder / f"attempt={max(1, task.try_number)}.log"


@dataclass
class TaskLog:
    """Reads a log that grows: JSON, one event a line.

    Attributes:
        path: of the log, which need not be there yet.
        position: bytes read so far.
    """

    path: Path
    position: int = 0

    def new_lines(self) -> list[str]:
        """What the pipeline's own loggers said since the last call."""
        return [str(event["event"]) for event in self._new_events() if str(event.get("logger")).startswith(OURS)]

    def failure(self) -> str | None:
        """The last exception in the whole log, as type and message; None when there is none."""
        found = None
        for event in TaskLog(self.path)._new_events():
            details = event.get("error_detail")
            if details:
                found = f"{details[0]['exc_type']}: {details[0]['exc_value']}"
        return found

    def _new_events(self) -> Iterator[dict[str, Any]]:
        if not self.path.is_file():
            return
        with self.path.open("rb") as file:
            file.seek(self.position)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]  # the last line may still be in the writing
        self.position += len(whole)
        for line in whole.splitlines():
            event = _parse(line)
            if event is not None:
                yield event


def _parse(line: bytes) -> dict[str, Any] | None:
    """An event, or None for what a library printed past the logging system."""
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and "event" in event else None
