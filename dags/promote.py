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

from airflow.sdk import Metadata, dag, get_current_context, task
from airflow.sdk.exceptions import AirflowSkipException

from plugins.alerts import FailureNotifier, warn_of_canary, warn_of_watch
from plugins.assets import CHAMPION, DEFAULT_ARGS
from plugins.forms import promote_form, who_asked
from plugins.step_context import open_context


@dag(
    dag_display_name="Promote",
    schedule=None,
    default_args=DEFAULT_ARGS,
    dagrun_timeout=timedelta(hours=12),
    on_failure_callback=FailureNotifier(),
    max_active_runs=1,
    tags=["quartet", "serving"],
    doc_md=__doc__,
    params=promote_form(),
)
def promote() -> None:
    """Decide, publish, try, swap, watch."""

    @task(doc_md="Check that the run's winner may be promoted, and keep who decided and why; returns the run's id.")
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

        def at_work(run_id: str) -> bool:
            return bool(instance.get_dr_count("retrain", run_ids=[run_id], states=["queued", "running"]))

        with open_context(run=params["retrain_id"]) as context:
            return order.run(context, request, datetime.now(UTC), at_work).run_id

    @task(queue="gpu", pool="gpu", doc_md="Export the winner, try it in a fresh model server, and publish it.")
    def publish(retrain_id: str) -> int:
        from ml.steps import publish

        with open_context(accelerator=True, run=retrain_id) as context:
            return int(publish.run(context, retrain_id)["version"])

    @task(doc_md="Serve the version beside the champion, and compare the two on the same images.")
    def canary(retrain_id: str) -> dict[str, Any]:
        from datetime import UTC, datetime

        from ml.steps import canary

        with open_context(run=retrain_id) as context:
            trial = canary.run(context, retrain_id, datetime.now(UTC))
            warn_of_canary(context.settings, trial)
        return {"passed": trial["passed"], "reason": trial["reason"]}

    @task(outlets=[CHAMPION], doc_md="Make the version the stable one, and the champion.")
    def promote(retrain_id: str, trial: dict[str, Any]) -> Any:
        from datetime import UTC, datetime

        from ml.steps import promote

        if not trial["passed"]:
            raise AirflowSkipException(trial["reason"])
        with open_context(run=retrain_id) as context:
            promotion = promote.run(context, retrain_id, datetime.now(UTC))
        yield Metadata(CHAMPION, extra=promotion)
        return promotion["version"]

    @task(doc_md="Look after the new version for a while; go back to the one before if it does badly.")
    def watch(retrain_id: str) -> dict[str, Any]:
        from ml.steps import watch

        with open_context(run=retrain_id) as context:
            watched = watch.run(context, retrain_id)
            warn_of_watch(context.settings, watched)
        return {"kept": watched["kept"], "reason": watched["reason"]}

    @task(trigger_rule="none_failed", doc_md="Write the run's page anew.")
    def report(retrain_id: str) -> dict[str, Any]:
        from datetime import UTC, datetime

        from ml.steps import report

        with open_context(run=retrain_id) as context:
            return report.run(context, retrain_id, datetime.now(UTC))

    retrain_id: Any = order()
    tried: Any = canary(retrain_id)
    publish(retrain_id) >> tried >> promote(retrain_id, tried) >> watch(retrain_id) >> report(retrain_id)


promote()
