"""The alerts that Quartet sends, made from what is known when something happens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from ml.alerting.alert import Alert, Fact, Link
from ml.errors import QuartetError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

__all__ = ["RunReference", "deadline_alert", "failure_alert", "quality_alert", "trial_alert"]


@dataclass(frozen=True)
class RunReference:
    """A run in Airflow, or one task of it; ``map_index`` is below 0 for a task that is not mapped."""

    dag_id: str
    run_id: str
    task_id: str | None = None
    map_index: int = -1
    try_number: int = 0

    def url(self, base_url: str) -> str:
        """Its page in Airflow's UI; a task's is its log."""
        url = f"{base_url.rstrip('/')}/dags/{quote(self.dag_id, safe='')}/runs/{quote(self.run_id, safe='')}"
        if self.task_id is None:
            return url
        mapped = f"/mapped/{self.map_index}" if self.map_index >= 0 else ""
        tried = f"?try_number={self.try_number}" if self.try_number > 0 else ""
        return f"{url}/tasks/{quote(self.task_id, safe='')}{mapped}{tried}"

    @property
    def facts(self) -> tuple[Fact, ...]:
        """What names it."""
        facts = [Fact("DAG", self.dag_id), Fact("run", self.run_id)]
        if self.task_id is not None:
            mapped = f" [{self.map_index}]" if self.map_index >= 0 else ""
            facts += [Fact("task", f"{self.task_id}{mapped}"), Fact("try", str(self.try_number))]
        return tuple(facts)


def failure_alert(error: BaseException | str | None, run: RunReference, base_url: str, at: datetime) -> Alert:
    """A task failed for good.

    Args:
        error: as Airflow gives it: the exception, its text, or nothing when the task's process was killed.
        run: which task.
        base_url: of Airflow's UI.
        at: when.
    """
    known = _known_error(error)
    log = Link("task log", run.url(base_url))
    title = f"{run.dag_id}: {run.task_id} failed"
    if known is None:
        remedy = "Read the task's log. When the cause is mended, clear the task in Airflow: the run goes on from there."
        return Alert("critical", title, _describe(error), at, run.facts, (log,), remedy)
    return Alert(
        "critical",
        title,
        known.message,
        at,
        (*(Fact(*fact) for fact in known.facts.items()), *run.facts),
        (*(Link(*link) for link in known.links.items()), log),
        known.remedy or "Read the task's log.",
    )


def quality_alert(validation: Mapping[str, Any], run: RunReference, base_url: str, at: datetime) -> Alert:
    """A snapshot is valid and the run goes on, but expectations that only warn are not met.

    Args:
        validation: what :func:`ml.steps.validate.run` returned.
        run: which task.
        base_url: of Airflow's UI.
        at: when.
    """
    warnings = validation["warnings"]
    return Alert(
        "warning",
        f"{run.dag_id}: {len(warnings)} data quality warning{'' if len(warnings) == 1 else 's'}",
        f"Snapshot {validation['snapshot_id']} is valid and the run goes on, but the data are doubtful.",
        at,
        (*map(Fact, warnings, validation["observed"]), *run.facts),
        (Link("report", validation["report"]), Link("task log", run.url(base_url))),
        "Look at the images that the report names. If they are as they should be, change the thresholds under "
        "`validation`.",
    )


def deadline_alert(run: RunReference, state: str, queued_at: str, deadline: str, base_url: str, at: datetime) -> Alert:
    """A run has not ended by its deadline."""
    facts = (Fact("state", state), Fact("queued", queued_at), Fact("deadline", deadline), *run.facts)
    return Alert(
        "warning",
        f"{run.dag_id} takes too long",
        "The run has not ended by its deadline. It is not stopped.",
        at,
        facts,
        (Link("run", run.url(base_url)),),
        "See which task of the run waits or is slow. A queued task may wait for a worker, a pool or an earlier run.",
    )


def trial_alert(base_url: str | None, at: datetime) -> Alert:
    """Nothing happened; somebody tries whether alerts arrive."""
    links = () if base_url is None else (Link("Airflow", base_url),)
    return Alert(
        "info",
        "Test of Quartet's alerts",
        "Nothing is wrong: somebody ran `quartet test-alerts`.",
        at,
        (Fact("an escaped value", "<b>a & b</b>, *c*"),),
        links,
        "Nothing needs to be done.",
    )


def _known_error(error: BaseException | str | None) -> QuartetError | None:
    """The error raised on purpose behind what Airflow saw, along the chain of causes."""
    seen: set[int] = set()
    current = error if isinstance(error, BaseException) else None
    while current is not None and id(current) not in seen:
        if isinstance(current, QuartetError):
            return current
        seen.add(id(current))
        current = current.__cause__
    return None


def _describe(error: BaseException | str | None) -> str:
    if isinstance(error, BaseException):
        return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return error or "The task's process ended without a word; it was probably killed."
