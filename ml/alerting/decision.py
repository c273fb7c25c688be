"""The alerts about whether a run's winner is promoted: the gate's word, and a person's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ml.alerting.alert import Alert, Fact, Link

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from ml.alerting.reference import RunReference

__all__ = ["approval_alert", "rejection_alert", "unanswered_alert"]


def rejection_alert(
    decision: Mapping[str, Any], pages: Sequence[Link], run: RunReference, base_url: str, at: datetime
) -> Alert:
    """The gate has rejected a run's winner, so nothing is promoted; each missed rule says what was missing.

    Args:
        decision: what :func:`ml.steps.gate.run` returned.
        pages: that show more of it; the run's is written when the run ends.
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
        (*pages, *run.links(base_url)),
        f"{remedy} is changed under `gate`." if missed else "Set a rule under `gate`, and retrain.",
        ("rejection", run.dag_id, run.task_id or "", decision["variant"], *sorted(rule["name"] for rule in missed)),
    )


def approval_alert(
    request: Mapping[str, Any], until: datetime, pages: Sequence[Link], run: RunReference, base_url: str, at: datetime
) -> Alert:
    """A cleared winner waits for a person's approval. Each question is one of its own: it has no cause.

    Args:
        request: what :func:`ml.steps.approve.run` returned.
        until: when it is rejected without an answer.
        pages: that show more of it.
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
        (Link("answer", run.answer_url(base_url)), *pages),
        "Look at the run's page, and approve or reject in Airflow.",
    )


def unanswered_alert(reason: str, pages: Sequence[Link], run: RunReference, base_url: str, at: datetime) -> Alert:
    """Nobody has answered in time, so a winner that the gate had cleared is not promoted.

    Args:
        reason: of the rejection.
        pages: that show more of it.
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
        (*pages, *run.links(base_url)),
        f"Clear `{run.task_id}` in Airflow to be asked again. `gate.approval.timeout_hours` is how long it waits.",
        ("unanswered", run.dag_id, run.task_id or ""),
    )


def _numbers(rule: Mapping[str, Any]) -> str:
    missing = f" ({rule['missing']})" if rule["missing"] else ""
    return f"{rule['measured']}, required {rule['required']}{missing}"
