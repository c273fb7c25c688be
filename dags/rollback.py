"""
# Roll back

Makes an earlier version the stable one at the model servers, and the champion. Started by hand only; the reason is kept
on record with the name of who gave it. `quartet history` shows the record.

| task | does |
|--|--|
| `roll_back` | appends to the record of what serves, and moves the registry's aliases |
| `confirm` | waits until the model server answers with that version |

The version is loaded already where it is the one that served before, so that the swap takes seconds. No request fails.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import Metadata, dag, get_current_context

from plugins.alerts import dag_alerts, tell_of_rollback
from plugins.assets import CHAMPION, DEFAULT_ARGS
from plugins.forms import rollback_form, who_asked
from plugins.links import MODELS_PAGE
from plugins.made import promotions
from plugins.owner import owner_links
from plugins.step_context import open_context
from plugins.tasks import step


@dag(
    dag_display_name="Roll back",
    schedule=None,
    default_args=DEFAULT_ARGS,
    owner_links=owner_links(),
    dagrun_timeout=timedelta(hours=1),
    **dag_alerts("rollback"),
    max_active_runs=1,
    tags=["quartet", "serving"],
    doc_md=__doc__,
    params=rollback_form(),
)
def rollback() -> None:
    """Record, and see that it serves."""

    @step(
        outlets=[CHAMPION],
        links=[MODELS_PAGE],
        makes=promotions,
        returns="version",
        task_display_name="Go back",
        doc_md="Append the rollback to the record of what serves, and move the aliases.",
    )
    def roll_back() -> Any:
        from datetime import UTC, datetime

        from ml.event_facts import champion_facts
        from ml.rollback import Request
        from ml.steps import roll_back

        airflow = get_current_context()
        params, run = airflow["params"], airflow["dag_run"]
        # Tried again, the task finds what it did under the run's id.
        request = Request(params["reason"], who_asked(run), params["version"], id=run.run_id)
        with open_context() as context:
            change = roll_back.run(context, request, datetime.now(UTC))
            roll_back.follow(context)
            tell_of_rollback(context.settings, change)
            facts = champion_facts(context, change["number"])
        yield Metadata(CHAMPION, extra=facts)
        return change["version"]

    @step(
        links=[MODELS_PAGE],
        returns="seconds",
        task_display_name="See that it serves",
        doc_md="Wait until the model server answers with the version.",
    )
    def confirm(version: int) -> float:
        from ml.steps import roll_back

        with open_context() as context:
            return roll_back.wait_until_served(context, version, seconds=120)

    version: Any = roll_back()
    confirm(version)


rollback()
