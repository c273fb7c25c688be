"""The alerts about runs that failed, or take too long."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ml.alerting.alert import MAX_FACTS, MAX_TEXT, MAX_VALUE, Alert, Fact, Link, cut
from ml.alerting.cause import without_run
from ml.alerting.quality import REFUSAL, refusal_alert
from ml.errors import QuartetError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from ml.alerting.reference import RunReference

__all__ = ["deadline_alert", "describe_failure", "failure_alert"]

#: What is known when no task left a word, by Airflow's name of the reason.
_REASONS = {
    "task_failure": "The task's process ended without a word; it was probably killed, mostly for want of memory.",
    "timed_out": "The run took longer than its limit (`dagrun_timeout`) and was stopped.",
    "all_tasks_deadlocked": "No task of the run can start any more.",
}


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
        return {"error": "", "message": cut(text, MAX_TEXT), "remedy": "", "facts": {}, "links": {}}
    facts = [*known.facts.items()][:MAX_FACTS]
    return {
        "error": type(known).__name__,
        "message": cut(known.message, MAX_TEXT),
        "remedy": cut(known.remedy, MAX_TEXT),
        "facts": {name: cut(value, MAX_VALUE) for name, value in facts},
        "facts_in_all": len(known.facts),
        "links": known.links,
    }


def failure_alert(
    reason: str,
    failure: Mapping[str, Any] | None,
    pages: Sequence[Link],
    run: RunReference,
    others: Sequence[str],
    base_url: str,
    at: datetime,
) -> Alert:
    """A run has failed; where a validation refused its data, the alert is about these.

    Args:
        reason: why, as Airflow names it: `task_failure`, `timed_out` or another.
        failure: what :func:`describe_failure` gave; None when no task left a word.
        pages: that show more of it.
        run: the task that failed last, or that was running when time was up; without a task when there is none.
        others: further tasks that failed.
        base_url: of Airflow's UI.
        at: when.
    """
    said = failure or {"message": _REASONS.get(reason, f"The run has failed: {reason}."), "facts": {}, "links": {}}
    if said.get("error") == REFUSAL:
        return refusal_alert(said, pages, run, others, base_url, at)
    what = "ran out of time" if reason == "timed_out" else f"{run.task_id} failed" if run.task_id else "failed"
    also = (Fact("failed too", ", ".join(others)),) if others else ()
    return Alert(
        "critical",
        f"{run.dag_id}: {what}",
        said["message"],
        at,
        (*(Fact(*fact) for fact in said["facts"].items()), *run.facts, *also),
        (*pages, *(Link(*link) for link in said["links"].items()), *run.links(base_url)),
        said.get("remedy")
        or "Read the log. When the cause is mended, clear the task in Airflow: the run goes on there.",
        (
            "failure",
            run.dag_id,
            run.task_id or "",
            reason,
            said.get("error", ""),
            without_run(said["message"], run.run_id),
        ),
    )


def deadline_alert(
    run: RunReference,
    state: str,
    queued_at: str,
    deadline: str,
    waits_for: Link | None,
    base_url: str,
    at: datetime,
) -> Alert:
    """A run has not ended by its deadline.

    Args:
        run: which.
        state: Airflow's: queued or running.
        queued_at: when it was.
        deadline: when it should have ended.
        waits_for: where a person's answer is taken that the run waits for; None when it waits for none.
        base_url: of Airflow's UI.
        at: when.
    """
    waits = () if waits_for is None else (waits_for,)
    return Alert(
        "warning",
        f"{run.dag_id} takes too long",
        "The run has not ended by its deadline. It is not stopped."
        + (" It waits for a person's approval." if waits else ""),
        at,
        (Fact("state", state), Fact("queued", queued_at), Fact("deadline", deadline), *run.facts),
        (*waits, *run.links(base_url)),
        "Approve or reject in Airflow: the run goes on then."
        if waits
        else "See which task of the run waits or is slow. A queued task may wait for a worker, a pool or an earlier "
        "run.",
        ("deadline", run.dag_id, "waits for approval" if waits else state),
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
