"""
# Monitor

Looks every hour at what serves, and tells people what is beyond its limits: one alert, nothing when all is well.
`QUARTET_MONITOR_SCHEDULE` changes when; the limits are settings, under `monitoring`.

| task | does |
|--|--|
| `check_serving` | whether the model server and the registry have the version that is on record |
| `measure_traffic` | errors and latency since the last look, by the server's own counters |
| `measure_drift` | logged requests against what the version was made from; needs `monitoring.log_share` |
| `report` | all of it on one page; one alert, where there is something to tell |
| `retrain` | starts Retrain, once for a version, where drift is to do so; skipped otherwise |

A run looks once, however late it starts: hours that were missed are not made up for.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from airflow.sdk import dag, get_current_context
from airflow.sdk.exceptions import AirflowSkipException

from plugins.alerts import dag_alerts, warn_of_findings
from plugins.assets import DEFAULT_ARGS
from plugins.forms import monitor_form
from plugins.links import MODELS_PAGE, MONITOR_PAGE
from plugins.made import monitor_file
from plugins.owner import owner_links
from plugins.schedules import monitor_schedule
from plugins.starting import start_dag
from plugins.step_context import open_context
from plugins.tasks import stage, step


@dag(
    dag_display_name="Monitor",
    schedule=monitor_schedule(),
    start_date=datetime(2026, 1, 1),  # noqa: DTZ001 - Airflow takes it as UTC
    catchup=False,
    default_args=DEFAULT_ARGS | {"execution_timeout": timedelta(minutes=30)},
    owner_links=owner_links(),
    dagrun_timeout=timedelta(hours=2),
    **dag_alerts("monitor"),
    max_active_runs=1,
    tags=["quartet", "serving"],
    doc_md=__doc__,
    params=monitor_form(),
)
def monitor() -> None:
    """Look, tell, and start a retraining where drift asks for one."""

    @step(
        links=[MODELS_PAGE],
        makes=monitor_file("serving.json"),
        returns="version",
        task_display_name="What serves?",
        doc_md="Compare what the model server and the registry say with the record of what serves.",
    )
    def check_serving(monitor_id: str) -> int | None:
        from datetime import UTC, datetime

        from ml.steps import check_serving

        with open_context() as context:
            version = check_serving.run(context, monitor_id, datetime.now(UTC))["version"]
        return None if version is None else int(version)

    @step(
        makes=monitor_file("traffic.json"),
        task_display_name="Errors and latency",
        doc_md="Measure errors and latency since the last look.",
    )
    def measure_traffic(monitor_id: str) -> dict[str, int]:
        from datetime import UTC, datetime

        from ml.steps import measure_traffic

        with open_context() as context:
            return dict(measure_traffic.run(context, monitor_id, datetime.now(UTC))["requests"])

    @step(
        makes=monitor_file("drift.json"),
        returns="rows",
        task_display_name="Drift",
        doc_md="Test logged requests for drift.",
    )
    def measure_drift(monitor_id: str) -> int:
        from datetime import UTC, datetime

        from ml.steps import measure_drift

        window_hours = get_current_context()["params"]["window_hours"]
        with open_context() as context:
            return int(measure_drift.run(context, monitor_id, datetime.now(UTC), window_hours)["rows"])

    @step(
        links=[MONITOR_PAGE],
        makes=monitor_file("report.html"),
        task_display_name="Page and alert",
        doc_md="Write the page, and send an alert where there is something to tell.",
    )
    def report(monitor_id: str) -> dict[str, Any]:
        from datetime import UTC, datetime

        from ml.steps import report_monitoring

        with open_context() as context:
            found = report_monitoring.run(context, monitor_id, datetime.now(UTC))
            warn_of_findings(context.settings, found)
            report_monitoring.remember(context, found)
        return {name: found[name] for name in ("version", "retrain", "retraining", "page")}

    @step(
        task_display_name="Start Retrain",
        doc_md="Start Retrain, once for a version; skipped unless drift is to do so.",
    )
    def retrain(found: dict[str, Any]) -> None:
        if not found["retrain"]:
            raise AirflowSkipException(found["retraining"] or "Nothing has drifted.")
        # A run of that name is there once, whatever becomes of what the monitor remembers.
        name = f"drift_of_version_{found['version']}"
        start_dag("retrain", run_id=name, reason=name.replace("_", " "))

    # Everything a run writes lies under its id.
    monitor_id = "{{ run_id }}"
    with stage("looks", "Looks", "At the servers, at what they were asked and answered; each by itself."):
        looks: list[Any] = [look(monitor_id) for look in (check_serving, measure_traffic, measure_drift)]
    found: Any = report(monitor_id)
    looks >> found
    retrain(found)


monitor()
