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

from airflow.sdk import Metadata, dag, get_current_context
from airflow.sdk.exceptions import AirflowSkipException

from plugins.alerts import dag_alerts, tell_of_promotion, warn_of_canary, warn_of_watch
from plugins.assets import CHAMPION, DEFAULT_ARGS, SNAPSHOT
from plugins.forms import promote_form, who_asked
from plugins.links import MODELS_PAGE, RUN_PAGE
from plugins.made import model_version, promotions, run_file
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

    @step(
        queue="gpu",
        pool="gpu",
        links=[RUN_PAGE, MODELS_PAGE],
        makes=model_version,
        task_display_name="Publish the winner",
        doc_md="Export the winner, try it in a fresh model server, and publish it.",
    )
    def publish(retrain_id: str) -> int:
        from ml.steps import publish

        with open_context(accelerator=True, run=retrain_id) as context:
            return int(publish.run(context, retrain_id)["version"])

    @step(
        links=[RUN_PAGE, MODELS_PAGE],
        makes=run_file("canary.json"),
        task_display_name="Canary beside the champion",
        doc_md="Serve the version beside the champion, and compare the two on the same images.",
    )
    def canary(retrain_id: str) -> dict[str, Any]:
        from datetime import UTC, datetime

        from ml.steps import canary

        with open_context(run=retrain_id) as context:
            trial = canary.run(context, retrain_id, datetime.now(UTC))
            warn_of_canary(context.settings, trial)
        return {"passed": trial["passed"], "reason": trial["reason"]}

    @step(
        inlets=[SNAPSHOT],
        outlets=[CHAMPION],
        links=[RUN_PAGE, MODELS_PAGE],
        makes=promotions,
        task_display_name="Promote to champion",
        doc_md="Make the version the stable one, and the champion; skipped if it did not stand its trial.",
    )
    def promote(retrain_id: str, trial: dict[str, Any]) -> Any:
        from datetime import UTC, datetime

        from ml.event_facts import champion_facts
        from ml.steps import promote

        if not trial["passed"]:
            raise AirflowSkipException(trial["reason"])
        with open_context(run=retrain_id) as context:
            promotion = promote.run(context, retrain_id, datetime.now(UTC))
            tell_of_promotion(context, promotion)
            facts = champion_facts(context, promotion["number"])
        yield Metadata(CHAMPION, extra=facts)
        return promotion["version"]

    @step(
        links=[RUN_PAGE, MODELS_PAGE],
        makes=run_file("watch.json"),
        task_display_name="Watch the new champion",
        doc_md="Look after the new version for a while; go back to the one before if it does badly.",
    )
    def watch(retrain_id: str) -> dict[str, Any]:
        from ml.steps import watch

        with open_context(run=retrain_id) as context:
            watched = watch.run(context, retrain_id)
            warn_of_watch(context.settings, watched)
        return {"kept": watched["kept"], "reason": watched["reason"]}

    @step(
        trigger_rule="none_failed",
        links=[RUN_PAGE, MODELS_PAGE],
        makes=run_file("report.html"),
        task_display_name="Write the run's page anew",
        doc_md="Write the run's page anew, with the person's decision and what came of it.",
    )
    def report(retrain_id: str) -> dict[str, Any]:
        from datetime import UTC, datetime

        from ml.steps import report

        with open_context(run=retrain_id) as context:
            return report.run(context, retrain_id, datetime.now(UTC))

    retrain_id: Any = order()
    tried: Any = canary(retrain_id)
    publish(retrain_id) >> tried >> promote(retrain_id, tried) >> watch(retrain_id) >> report(retrain_id)


promote()
