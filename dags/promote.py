"""
# Promote

A person promotes the winner of a past run of `retrain` that is not in production, with a reason. Started by hand only,
from the page *Models* or with the form here; who and why is kept with the version and on the run's page.

| task | does |
|--|--|
| `order` | checks that the run's winner may be promoted, and keeps the decision |
| `publish` | exports the winner, tries it in a fresh model server, publishes it with the decision as a version |
| `canary` | serves it beside the champion, and compares the two on the same images; waits while another is on trial |
| `promote` | makes it the stable version and the champion; skipped if it did not stand its trial |
| `watch` | looks after it for a while, and goes back to the version before if it does badly |
| `report` | the run's page, written anew |

What the gate has rejected, or has compared with another champion than today's, is refused unless the form says
*Against the gate*: then the rules that it missed stand beside the person's name wherever the version is told of. A
winner that was trained on test images, or on images that were forgotten since, is not promoted by anybody.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import dag, get_current_context

from plugins import promotion_tasks
from plugins.alerts import dag_alerts
from plugins.assets import DEFAULT_ARGS
from plugins.forms import promote_form, who_asked
from plugins.owner import owner_links
from plugins.step_context import open_context
from plugins.tasks import step


@dag(
    dag_display_name="Promote",
    schedule=None,
    default_args=DEFAULT_ARGS,
    owner_links=owner_links(),
    dagrun_timeout=timedelta(hours=12),
    **dag_alerts("promote"),
    max_active_runs=1,
    tags=["quartet", "serving"],
    doc_md=__doc__,
    params=promote_form(),
)
def promote() -> None:
    """Decide, publish, try, swap, watch."""

    @step(
        task_display_name="Keep the decision",
        doc_md="Check that the run's winner may be promoted, and keep who decided and why; returns the run's id.",
    )
    def order() -> str:
        from datetime import UTC, datetime

        from ml.orders import PromotionRequest
        from ml.steps import order

        airflow: Any = get_current_context()
        params, run, instance = airflow["params"], airflow["dag_run"], airflow["ti"]
        # Tried again, the task finds what it kept under the run's id.
        request = PromotionRequest(
            params["retrain_id"], params["reason"], who_asked(run), run.run_id, params["against_the_gate"]
        )

        def at_work(run_id: str) -> bool | None:
            if not instance.get_dr_count("retrain", run_ids=[run_id]):
                return None  # of the command line, or long gone from Airflow
            return bool(instance.get_dr_count("retrain", run_ids=[run_id], states=["queued", "running"]))

        with open_context(run=params["retrain_id"]) as context:
            return order.run(context, request, datetime.now(UTC), at_work).run_id

    publish = promotion_tasks.publish.override(
        doc_md="Export the winner, try it in a fresh model server, and publish it."
    )
    report = promotion_tasks.report.override(
        task_display_name="Write the run's page anew",
        doc_md="Write the run's page anew, with the person's decision and what came of it.",
    )
    retrain_id: Any = order()
    tried: Any = promotion_tasks.canary(retrain_id)
    promoted: Any = promotion_tasks.promote(retrain_id, tried)
    watched: Any = promotion_tasks.watch(retrain_id)
    publish(retrain_id) >> tried >> promoted >> watched >> report(retrain_id)


promote()
