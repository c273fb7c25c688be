"""The alerts that Quartet sends, made from what is known when something happens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from ml.alerting.alert import MAX_FACTS, MAX_TEXT, MAX_VALUE, Alert, Fact, Link, cut
from ml.errors import QuartetError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

__all__ = [
    "RunReference",
    "approval_alert",
    "deadline_alert",
    "describe_failure",
    "failure_alert",
    "quality_alert",
    "rejection_alert",
    "trial_alert",
    "unanswered_alert",
]


#: What is known when no task left a word, by Airflow's name of the reason.
_REASONS = {
    "task_failure": "The task's process ended without a word; it was probably killed, mostly for want of memory.",
    "timed_out": "The run took longer than its limit (`dagrun_timeout`) and was stopped.",
    "all_tasks_deadlocked": "No task of the run can start any more.",
}


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

    def answer_url(self, base_url: str) -> str:
        """The page in Airflow's UI where a task's question is answered."""
        return f"{RunReference(self.dag_id, self.run_id, self.task_id, self.map_index).url(base_url)}/required_actions"

    @property
    def facts(self) -> tuple[Fact, ...]:
        """What names it."""
        facts = [Fact("DAG", self.dag_id), Fact("run", self.run_id)]
        if self.task_id is not None:
            mapped = f" [{self.map_index}]" if self.map_index >= 0 else ""
            facts += [Fact("task", f"{self.task_id}{mapped}"), Fact("try", str(self.try_number))]
        return tuple(facts)


def describe_failure(error: BaseException | str | None) -> dict[str, Any]:
    """What an alert will say of a task's error, small and as JSON has it.

    Args:
        error: as Airflow gives it: the exception, its text, or nothing.
    """
    known = _known_error(error)
    if known is None:
        text = str(error or "")
        if isinstance(error, BaseException):
            text = ": ".join(filter(None, [type(error).__name__, str(error)]))
        return {"message": cut(text, MAX_TEXT), "remedy": "", "facts": {}, "links": {}}
    facts = [*known.facts.items()][:MAX_FACTS]
    return {
        "message": cut(known.message, MAX_TEXT),
        "remedy": cut(known.remedy, MAX_TEXT),
        "facts": {name: cut(value, MAX_VALUE) for name, value in facts},
        "links": known.links,
    }


def failure_alert(
    reason: str,
    failure: Mapping[str, Any] | None,
    run: RunReference,
    others: Sequence[str],
    base_url: str,
    at: datetime,
) -> Alert:
    """A run has failed.

    Args:
        reason: why, as Airflow names it: `task_failure`, `timed_out` or another.
        failure: what :func:`describe_failure` gave; None when no task left a word.
        run: the task that failed last, or that was running when time was up; without a task when there is none.
        others: further tasks that failed.
        base_url: of Airflow's UI.
        at: when.
    """
    said = failure or {"message": _REASONS.get(reason, f"The run has failed: {reason}."), "facts": {}, "links": {}}
    what = "ran out of time" if reason == "timed_out" else f"{run.task_id} failed" if run.task_id else "failed"
    page = Link("task log" if run.task_id else "run", run.url(base_url))
    also = (Fact("failed too", ", ".join(others)),) if others else ()
    return Alert(
        "critical",
        f"{run.dag_id}: {what}",
        said["message"],
        at,
        (*(Fact(*fact) for fact in said["facts"].items()), *run.facts, *also),
        (*(Link(*link) for link in said["links"].items()), page),
        said.get("remedy")
        or "Read the log. When the cause is mended, clear the task in Airflow: the run goes on there.",
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


def rejection_alert(decision: Mapping[str, Any], page: str, run: RunReference, base_url: str, at: datetime) -> Alert:
    """The gate has rejected a run's winner, so nothing is promoted; each missed rule says what was missing.

    Args:
        decision: what :func:`ml.steps.gate.run` returned.
        page: the run's, which is written when the run ends.
        run: which task.
        base_url: of Airflow's UI.
        at: when.
    """
    missed = [rule for rule in decision["rules"] if not rule["passed"]]
    remedy = "Look at the run's page. More images of what the model gets wrong help most; a rule that asks for too much"
    return Alert(
        "warning",
        f"{run.dag_id}: {decision['variant']} is not promoted",
        decision["reason"],
        at,
        (*(Fact(rule["name"], _numbers(rule)) for rule in missed), *run.facts),
        (Link("page", page), Link("task log", run.url(base_url))),
        f"{remedy} is changed under `gate`." if missed else "Set a rule under `gate`, and retrain.",
    )


def approval_alert(
    request: Mapping[str, Any], until: datetime, run: RunReference, base_url: str, at: datetime
) -> Alert:
    """A cleared winner waits for a person's approval.

    Args:
        request: what :func:`ml.steps.approve.run` returned.
        until: when it is rejected without an answer.
        run: which task.
        base_url: of Airflow's UI.
        at: when.
    """
    return Alert(
        "info",
        f"{run.dag_id}: {request['variant']} waits for approval",
        f"The gate has cleared it. Without an answer by {until:%Y-%m-%d at %H:%M %Z} it is rejected.",
        at,
        (
            *(Fact(rule["name"], _numbers(rule)) for rule in request["rules"]),
            *run.facts,
        ),
        (Link("answer", run.answer_url(base_url)), Link("page", request["page"])),
        "Look at the run's page, and approve or reject in Airflow.",
    )


def unanswered_alert(reason: str, run: RunReference, base_url: str, at: datetime) -> Alert:
    """Nobody has answered in time, so a winner that the gate had cleared is not promoted.

    Args:
        reason: of the rejection.
        run: which task.
        base_url: of Airflow's UI.
        at: when.
    """
    return Alert(
        "warning",
        f"{run.dag_id}: nobody approved",
        f"{reason} The gate had cleared the winner; the model in production stays.",
        at,
        run.facts,
        (Link("task log", run.url(base_url)),),
        f"Clear `{run.task_id}` in Airflow to be asked again. `gate.approval.timeout_hours` is how long it waits.",
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


def _numbers(rule: Mapping[str, Any]) -> str:
    missing = f" ({rule['missing']})" if rule["missing"] else ""
    return f"{rule['measured']}, required {rule['required']}{missing}"


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
