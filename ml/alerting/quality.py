"""The alerts about data: doubtful ones that are used, and wrong ones that are not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ml.alerting.alert import Alert, Fact, Link
from ml.errors import ValidationFailedError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from ml.alerting.reference import RunReference

__all__ = ["REFUSAL", "quality_alert", "refusal_alert"]

#: The error by which `validate` refuses a snapshot, and its fact that is no expectation.
REFUSAL, SNAPSHOT = ValidationFailedError.__name__, "snapshot"


def quality_alert(
    validation: Mapping[str, Any], pages: Sequence[Link], run: RunReference, base_url: str, at: datetime
) -> Alert:
    """A snapshot is valid and the run goes on, but expectations that only warn are not met.

    Args:
        validation: what :func:`ml.steps.validate.run` returned.
        pages: that show more of it.
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
        (*pages, Link("report in the store", validation["report"]), *run.links(base_url)),
        "Look at the images that the report names. If they are as they should be, change the thresholds under "
        "`validation`.",
        ("data quality", run.dag_id, run.task_id or "", *sorted(warnings)),
    )


def refusal_alert(
    failure: Mapping[str, Any],
    pages: Sequence[Link],
    run: RunReference,
    others: Sequence[str],
    base_url: str,
    at: datetime,
) -> Alert:
    """A snapshot is not valid: critical expectations are not met, and the run has failed.

    Args:
        failure: what :func:`ml.alerting.describe_failure` left of the :class:`ml.errors.ValidationFailedError`.
        pages: that show more of it.
        run: which task.
        others: further tasks that failed.
        base_url: of Airflow's UI.
        at: when.
    """
    expectations = {name: observed for name, observed in failure["facts"].items() if name != SNAPSHOT}
    snapshot, number = failure["facts"][SNAPSHOT], failure["facts_in_all"] - 1
    plural = "" if number == 1 else "s"
    also = (Fact("failed too", ", ".join(others)),) if others else ()
    return Alert(
        "critical",
        f"{run.dag_id}: {number} critical data quality failure{plural}",
        f"Snapshot {snapshot} does not meet {number} critical expectation{plural} and is not published. The snapshot "
        "before stays the newest one.",
        at,
        (*(Fact(*fact) for fact in expectations.items()), Fact(SNAPSHOT, snapshot), *run.facts, *also),
        (
            *pages,
            *(Link(f"{name} in the store", address) for name, address in failure["links"].items()),
            *run.links(base_url),
        ),
        "Look at what the snapshot's page shows of each expectation. Add or mend images in the landing zone, or change "
        "`validation` or `classes`; then start the DAG again.",
        ("critical data quality", run.dag_id, run.task_id or "", *sorted(expectations)),
    )
