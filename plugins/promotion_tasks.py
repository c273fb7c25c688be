"""The tasks that bring a run's winner into production: `retrain` has them, and `promote` for a person's decision."""

from __future__ import annotations

from typing import Any

from airflow.sdk import Metadata
from airflow.sdk.exceptions import AirflowSkipException

from plugins.alerts import tell_of_promotion, warn_of_canary, warn_of_watch
from plugins.assets import CHAMPION, SNAPSHOT
from plugins.links import MODELS_PAGE, RUN_PAGE
from plugins.made import model_version, promotions, run_file
from plugins.step_context import open_context
from plugins.tasks import step

__all__ = ["canary", "promote", "publish", "report", "watch"]

PAGES = [RUN_PAGE, MODELS_PAGE]


@step(
    queue="gpu",
    pool="gpu",
    links=PAGES,
    makes=model_version,
    returns="version",
    task_display_name="Publish the winner",
    doc_md="Export the winner, try it in a fresh model server, and publish it; skipped if it was rejected.",
)
def publish(retrain_id: str, decision: dict[str, Any] | None = None) -> int:
    """Publish the winner; with a decision only if that says so."""
    from ml.steps import publish

    if decision is not None and not decision["promoted"]:
        raise AirflowSkipException(decision["reason"])
    with open_context(accelerator=True, run=retrain_id) as context:
        return int(publish.run(context, retrain_id)["version"])


@step(
    links=PAGES,
    makes=run_file("canary.json"),
    task_display_name="Canary beside the champion",
    doc_md="Serve the version beside the champion, and compare the two on the same images.",
)
def canary(retrain_id: str) -> dict[str, Any]:
    """Hold the trial, and tell people where it was not stood."""
    from datetime import UTC, datetime

    from ml.steps import canary

    with open_context(run=retrain_id) as context:
        trial = canary.run(context, retrain_id, datetime.now(UTC))
        warn_of_canary(context.settings, trial)
    return {"passed": trial["passed"], "reason": trial["reason"]}


@step(
    inlets=[SNAPSHOT],
    outlets=[CHAMPION],
    links=PAGES,
    makes=promotions,
    returns="version",
    task_display_name="Promote to champion",
    doc_md="Make the version the stable one, and the champion; skipped if it did not stand its trial.",
)
def promote(retrain_id: str, trial: dict[str, Any]) -> Any:
    """Promote what stood its trial, tell people, and publish the asset's event."""
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
    links=PAGES,
    makes=run_file("watch.json"),
    task_display_name="Watch the new champion",
    doc_md="Look after the new version for a while; go back to the one before if it does badly.",
)
def watch(retrain_id: str) -> dict[str, Any]:
    """Watch it, and tell people where it was taken back."""
    from ml.steps import watch

    with open_context(run=retrain_id) as context:
        watched = watch.run(context, retrain_id)
        warn_of_watch(context.settings, watched)
    return {"kept": watched["kept"], "reason": watched["reason"]}


@step(
    trigger_rule="none_failed",
    links=PAGES,
    makes=run_file("report.html"),
    task_display_name="Write the run's page",
    doc_md="Write the run's page, whether the winner was promoted or not.",
)
def report(retrain_id: str) -> dict[str, Any]:
    """Write the run's page as things are now."""
    from datetime import UTC, datetime

    from ml.steps import report

    with open_context(run=retrain_id) as context:
        return report.run(context, retrain_id, datetime.now(UTC))
