"""The alerts about what serves: a promotion, a trial that was not stood, a version taken back, a rollback.

What changes the version that serves is always told: such an alert has no cause by which it could be folded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ml.alerting.alert import Alert, Fact, Link

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from ml.alerting.reference import RunReference
    from ml.promoted import Promoted

__all__ = ["canary_alert", "promotion_alert", "rollback_alert", "taken_back_alert"]


def promotion_alert(promoted: Promoted, pages: Sequence[Link], run: RunReference, base_url: str, at: datetime) -> Alert:
    """Another version is the champion.

    Args:
        promoted: what the record says of it.
        pages: that show more of it.
        run: which task.
        base_url: of Airflow's UI.
        at: when.
    """
    change = promoted.change
    return Alert(
        "info",
        f"{run.dag_id}: version {change.version} is the champion",
        f"{change.variant} serves as the stable version since {change.when:%Y-%m-%d %H:%M:%S %Z}. {change.reason}",
        at,
        (
            Fact("version", str(change.version)),
            Fact("variant", change.variant),
            Fact("macro F1", promoted.macro_f1),
            Fact("champion before", promoted.before),
            Fact("decided by", promoted.decided_by),
            Fact("serves since", f"{change.when:%Y-%m-%d %H:%M:%S %Z}"),
            *(() if change.run_id == run.run_id else (Fact("trained in run", change.run_id),)),
            Fact("trained on snapshot", change.snapshot_id),
            *run.facts,
        ),
        (*pages, *run.links(base_url)),
        "Nothing needs to be done. If it does badly all the same, the DAG `rollback` makes the version before the "
        "stable one."
        if promoted.has_before
        else "Nothing needs to be done. It is the first version: there is none to go back to yet.",
    )


def canary_alert(
    trial: Mapping[str, Any], pages: Sequence[Link], run: RunReference, base_url: str, at: datetime
) -> Alert:
    """A version did badly beside the champion and is withdrawn.

    Args:
        trial: what :func:`ml.steps.canary.run` returned.
        pages: that show more of it.
        run: which task.
        base_url: of Airflow's UI.
        at: when.
    """
    return Alert(
        "critical",
        f"{run.dag_id}: version {trial['version']} did not stand its trial",
        f"The model in production stays. {trial['reason']}",
        at,
        (*_checks(trial), *run.facts),
        (*pages, *run.links(base_url)),
        "Compare the versions at the model server, whose log says more of errors. A limit that asks for too much is "
        "changed under `promotion.canary`; then clear `canary`.",
        ("canary", run.dag_id, run.task_id or "", *sorted(name for name, _ in _checks(trial))),
    )


def taken_back_alert(
    watch: Mapping[str, Any], pages: Sequence[Link], run: RunReference, base_url: str, at: datetime
) -> Alert:
    """A version did badly after the swap; it was taken back, if there was another.

    Args:
        watch: what :func:`ml.steps.watch.run` returned.
        pages: that show more of it.
        run: which task.
        base_url: of Airflow's UI.
        at: when.
    """
    back = watch["rolled_back_to"]
    after = f"Version {back} serves again." if back is not None else "It still serves: there is no earlier version."
    return Alert(
        "critical",
        f"{run.dag_id}: version {watch['version']} does badly",
        f"{after} {watch['reason']}",
        at,
        (*_checks(watch), *run.facts),
        (*pages, *run.links(base_url)),
        "See the model server's log. Where the version is not to blame, make it stable again with the DAG `rollback`, "
        "naming it.",
    )


def rollback_alert(
    change: Mapping[str, Any], pages: Sequence[Link], run: RunReference, base_url: str, at: datetime
) -> Alert:
    """Somebody made another version the stable one.

    Args:
        change: what :func:`ml.steps.roll_back.run` returned.
        pages: that show more of it.
        run: which task.
        base_url: of Airflow's UI.
        at: when.
    """
    trial = change["action"] == "withdraw"
    said = "ended the trial beside it" if trial else f"took back version {change['from']}"
    return Alert(
        "warning",
        f"{run.dag_id}: {'version ' if trial else 'back to version '}{change['version']}{' stays' if trial else ''}",
        f"{change['by']} {said}: {change['reason']}",
        at,
        (Fact("serves now", f"version {change['version']}"), Fact("decided by", change["by"]), *run.facts),
        (*pages, *run.links(base_url)),
        "Nothing needs to be done for the swap itself. The next winner is compared with this version.",
    )


def _checks(found: Mapping[str, Any]) -> list[Fact]:
    return [
        Fact(check["name"], f"{check['measured']}, required {check['required']}")
        for check in found["checks"]
        if not check["passed"]
    ]
