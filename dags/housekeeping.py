"""
# Housekeeping

Removes, once a week, what is older than the settings under `retention` allow and needed by nothing: old runs, feature
maps, bytes in quarantine, notes of ingests, batches of predictions. Nothing is set by default, and then nothing goes.
`QUARTET_HOUSEKEEPING_SCHEDULE` changes when.

| task | does |
|--|--|
| `plan_housekeeping` | lists what goes and what stays, each with the reason, and writes the page |
| `clean` | looks at each once more and removes it; skipped with *Only look* |

What a version on record needs never goes: a rollback, a monitor, a withdrawal of consent and a retraining find all that
they look for.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from airflow.sdk import dag, get_current_context
from airflow.sdk.exceptions import AirflowSkipException

from plugins.alerts import dag_alerts
from plugins.assets import DEFAULT_ARGS
from plugins.forms import housekeeping_form
from plugins.links import HOUSEKEEPING_PAGE
from plugins.made import housekeeping_file
from plugins.owner import owner_links
from plugins.schedules import housekeeping_schedule
from plugins.step_context import open_context
from plugins.tasks import step


@dag(
    dag_display_name="Housekeeping",
    schedule=housekeeping_schedule(),
    start_date=datetime(2026, 1, 1),  # noqa: DTZ001 - Airflow takes it as UTC
    catchup=False,
    default_args=DEFAULT_ARGS | {"execution_timeout": timedelta(hours=6)},
    owner_links=owner_links(),
    dagrun_timeout=timedelta(hours=12),
    **dag_alerts("housekeeping"),
    max_active_runs=1,
    tags=["quartet", "data"],
    doc_md=__doc__,
    params=housekeeping_form(),
)
def housekeeping() -> None:
    """Plan, then remove."""

    @step(
        links=[HOUSEKEEPING_PAGE],
        makes=housekeeping_file("report.html"),
        task_display_name="Find what may go",
        doc_md="List what is to go and what stays, each with the reason.",
    )
    def plan_housekeeping(housekeeping_id: str) -> dict[str, Any]:
        from datetime import UTC, datetime

        from ml.steps import plan_housekeeping

        with open_context() as context:
            return plan_housekeeping.run(context, housekeeping_id, datetime.now(UTC))

    @step(
        links=[HOUSEKEEPING_PAGE],
        makes=housekeeping_file("report.json"),
        task_display_name="Remove it",
        doc_md="Look at each once more, and remove it unless something needs it by now.",
    )
    def clean(housekeeping_id: str) -> dict[str, Any]:
        if get_current_context()["params"]["dry_run"]:
            raise AirflowSkipException("Nothing is removed: this run only looks.")
        from datetime import UTC, datetime

        from ml.steps import clean

        with open_context() as context:
            return clean.run(context, housekeeping_id, datetime.now(UTC))

    # Everything a run writes lies under its id.
    housekeeping_id = "{{ run_id }}"
    plan_housekeeping(housekeeping_id) >> clean(housekeeping_id)


housekeeping()
