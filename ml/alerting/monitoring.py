"""The alert about what the monitor finds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ml.alerting.alert import Alert, Fact, Link

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from ml.alerting.reference import RunReference

__all__ = ["monitoring_alert"]

REMEDIES = {
    "What serves": "Where server or registry disagree with the record, see the sync's log and `quartet history`.",
    "Traffic": "For errors and latency, see the model server's log; `quartet rollback` goes back a version.",
    "Drift": "For drift, look at the page's figures; label some of what is asked about before you trust the answers, "
    "and retrain on such images.",
}


def monitoring_alert(
    report: Mapping[str, Any], pages: Sequence[Link], run: RunReference, base_url: str, at: datetime
) -> Alert:
    """All that is beyond its limit, in one alert.

    Args:
        report: what :func:`ml.steps.report_monitoring.run` returned.
        pages: that show more of it.
        run: which task.
        base_url: of Airflow's UI.
        at: when.
    """
    over = report["beyond"]
    names = ", ".join(f"{finding['name']}" for finding in over)
    topics = dict.fromkeys(finding["topic"] for finding in over)
    said = "; ".join(f"{one['topic']}, {one['name']}: {one['measured']}, required {one['required']}" for one in over)
    return Alert(
        "critical" if any(finding["critical"] for finding in over) else "warning",
        f"{run.dag_id}: {report['model_name']} is beyond its limits: {names}",
        " ".join(filter(None, (f"{said}.", report["retraining"]))),
        at,
        (
            *(Fact(f"{one['topic']}, {one['name']}", f"{one['measured']}, required {one['required']}") for one in over),
            *run.facts,
        ),
        (*pages, Link("page in the store", report["page"]), *run.links(base_url)),
        " ".join(REMEDIES[topic] for topic in topics),
        (
            "monitoring",
            run.dag_id,
            run.task_id or "",
            report["model_name"],
            *sorted(f"{finding['topic']}: {finding['name']}" for finding in over),
        ),
    )
