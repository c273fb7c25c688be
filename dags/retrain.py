"""
# Retrain

Started by a published snapshot, or by hand. Brings the feature cache up to date, trains a head for each variant,
measures them and the champion on the frozen test split, and promotes the winner if the gate lets it.

| task | does |
|--|--|
| `split` | lays down what the run trains on; an image's split was decided when it arrived |
| `anything_changed` | ends the run when an earlier one has trained and decided the same, unless Force is ticked |
| `list_missing` | which feature maps are not cached yet, cut into parts; none when nothing is new |
| `extract` | one for each part: every image once through the backbones that have not seen it |
| `tune` | one for each variant, when asked for: a search over the head's hyper-parameters |
| `train` | one for each variant: an attention head on the cached feature maps |
| `evaluate` | every candidate and the champion on the same test images; the winner is chosen on validation images |
| `examine` | the winner: as it would be served, on changed images, and what its overlays are worth |
| `gate` | the configured rules, each with its numbers |
| `approve` | waits for a person, where the settings ask for one and the gate cleared the winner |
| `review_labels` | lists labels that people should look at again; changes none |
| `publish` | exports the winner, tries it in a fresh model server, publishes it as a version; skipped if rejected |
| `canary` | serves it beside the champion, and compares the two on the same images |
| `promote` | makes it the stable version and the champion; skipped if it did not stand its trial |
| `watch` | looks after it for a while, and goes back to the version before if it does badly |
| `report` | the run's page |
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import Metadata, dag, get_current_context, task
from airflow.sdk.exceptions import AirflowSkipException

from plugins.alerts import FailureNotifier, warn_of_canary, warn_of_rejection, warn_of_watch
from plugins.approval import LONGEST_WAIT, PromotionApproval
from plugins.assets import CHAMPION, DEFAULT_ARGS, SNAPSHOT
from plugins.forms import overrides_of, retrain_form, who_asked
from plugins.step_context import open_context


@dag(
    dag_display_name="Retrain",
    schedule=[SNAPSHOT],
    default_args=DEFAULT_ARGS,
    dagrun_timeout=timedelta(hours=12) + LONGEST_WAIT,
    on_failure_callback=FailureNotifier(),
    max_active_runs=1,
    tags=["quartet", "training"],
    doc_md=__doc__,
    params=retrain_form(),
)
def retrain() -> None:
    """Train, measure, gate, promote."""

    @task(doc_md="Lay down what the run trains on; returns the variants.")
    def split(retrain_id: str) -> list[str]:
        from ml.run_settings import Asked, choices_of
        from ml.steps import split

        airflow = get_current_context()
        params, by = airflow["params"], who_asked(airflow["dag_run"])
        with open_context() as context:
            choices = choices_of(overrides_of(params))
            asked = Asked(choices, params["trials"], params["force"], params["reason"] or "", by)
            plan = split.run(context, retrain_id, params["snapshot_id"], params["variants"], asked)
        return list(plan["variants"])

    @task.short_circuit(doc_md="End here when an earlier run has trained and decided the same.")
    def anything_changed(retrain_id: str) -> bool:
        from ml.steps import anything_changed

        with open_context(run=retrain_id) as context:
            return bool(anything_changed.run(context, retrain_id)["changed"])

    @task(queue="gpu", pool="gpu", doc_md="Find the feature maps that are not cached; returns the parts to extract.")
    def list_missing(retrain_id: str) -> list[str]:
        from ml.steps import list_missing

        with open_context(accelerator=True, run=retrain_id) as context:
            return list_missing.run(context, retrain_id)

    @task(queue="gpu", pool="gpu", doc_md="Extract a part's feature maps, for all variants that lack them.")
    def extract(retrain_id: str, part: str) -> dict[str, Any]:
        from ml.steps import extract

        with open_context(accelerator=True, run=retrain_id) as context:
            return extract.run(context, retrain_id, part)

    @task(
        queue="gpu",
        pool="gpu",
        # With everything cached there is no part to extract, and `extract` is skipped.
        trigger_rule="none_failed",
        map_index_template="{{ task.op_kwargs['variant'] }}",
        doc_md="Search for the head's hyper-parameters; skipped unless the run asks for trials.",
    )
    def tune(retrain_id: str, variant: str) -> dict[str, Any]:
        from ml.steps import tune

        trials = get_current_context()["params"]["trials"]
        if trials < 2:
            raise AirflowSkipException("The run asks for no trials.")
        with open_context(accelerator=True, run=retrain_id) as context:
            return dict(tune.run(context, retrain_id, variant, trials)["changes"])

    @task(
        queue="gpu",
        pool="gpu",
        # `tune` is skipped unless it was asked for.
        trigger_rule="none_failed",
        map_index_template="{{ task.op_kwargs['variant'] }}",
        doc_md="Train the attention head.",
    )
    def train(retrain_id: str, variant: str) -> dict[str, Any]:
        from ml.steps import train

        with open_context(accelerator=True, run=retrain_id) as context:
            return train.run(context, retrain_id, variant)

    @task(queue="gpu", pool="gpu", doc_md="Measure the candidates and the champion on the same test images.")
    def evaluate(retrain_id: str) -> str:
        from ml.steps import evaluate

        with open_context(accelerator=True, run=retrain_id) as context:
            return str(evaluate.run(context, retrain_id)["chosen"])

    @task(queue="gpu", pool="gpu", doc_md="Look closely at the winner: exported, on changed images, at its overlays.")
    def examine(retrain_id: str) -> dict[str, Any]:
        from ml.steps import examine

        with open_context(accelerator=True, run=retrain_id) as context:
            return dict(examine.run(context, retrain_id)["export"])

    @task(doc_md="Apply the gate's rules to the winner.")
    def gate(retrain_id: str) -> dict[str, Any]:
        from ml.steps import gate

        with open_context(run=retrain_id) as context:
            decision = gate.run(context, retrain_id)
            warn_of_rejection(context, decision)
        return {"promoted": decision["promoted"], "reason": decision["reason"]}

    @task(queue="gpu", pool="gpu", doc_md="Export the winner, try it in a fresh model server, and publish it.")
    def publish(retrain_id: str, decision: dict[str, Any]) -> int:
        from ml.steps import publish

        if not decision["promoted"]:
            raise AirflowSkipException(decision["reason"])
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

    # Where the maps are, so that none is fetched; it takes no accelerator, and must not keep `promote` waiting for one.
    @task(queue="gpu", doc_md="List the labels that people should look at again; nothing is changed.")
    def review_labels(retrain_id: str) -> dict[str, Any]:
        from ml.steps import review_labels

        with open_context(run=retrain_id) as context:
            return review_labels.run(context, retrain_id)

    @task(trigger_rule="none_failed", doc_md="Write the run's page.")
    def report(retrain_id: str) -> dict[str, Any]:
        from datetime import UTC, datetime

        from ml.steps import report

        with open_context(run=retrain_id) as context:
            return report.run(context, retrain_id, datetime.now(UTC))

    # Everything a run writes lies under its id, so tasks hand on references to it and nothing larger.
    retrain_id = "{{ run_id }}"
    approve: Any = PromotionApproval(
        task_id="approve", retrain_id=retrain_id, doc_md="Wait for a person's approval, where the settings ask for it."
    )
    variants: Any = split(retrain_id)
    parts: Any = list_missing(retrain_id)
    tuned: Any = tune.partial(retrain_id=retrain_id).expand(variant=variants)
    trained: Any = train.partial(retrain_id=retrain_id).expand(variant=variants)
    evaluated: Any = evaluate(retrain_id)
    variants >> anything_changed(retrain_id) >> parts
    extracted: Any = extract.partial(retrain_id=retrain_id).expand(part=parts)
    extracted >> tuned >> trained >> evaluated >> examine(retrain_id) >> gate(retrain_id) >> approve
    tried: Any = canary(retrain_id)
    page: Any = report(retrain_id)
    publish(retrain_id, approve.output) >> tried >> promote(retrain_id, tried) >> watch(retrain_id) >> page
    evaluated >> review_labels(retrain_id) >> page


retrain()
