"""
# Retrain

Started by a published snapshot, by the clock where `QUARTET_RETRAIN_SCHEDULE` asks for it, or by hand. Brings the
feature cache up to date, trains a head for each variant, measures them and the champion on the frozen test split, and
promotes the winner if the gate lets it. The groups of the graph are the stages of that.

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

from airflow.sdk import dag, get_current_context
from airflow.sdk.exceptions import AirflowSkipException

from plugins import promotion_tasks
from plugins.alerts import dag_alerts, warn_of_rejection
from plugins.approval import LONGEST_WAIT, PromotionApproval
from plugins.assets import DEFAULT_ARGS, SNAPSHOT
from plugins.forms import overrides_of, retrain_form, who_asked
from plugins.links import MLFLOW_RUN, RUN_PAGE
from plugins.made import run_file
from plugins.owner import owner_links
from plugins.schedules import retrain_schedule
from plugins.step_context import open_context
from plugins.tasks import short_circuit_step, stage, step


@dag(
    dag_display_name="Retrain",
    schedule=retrain_schedule(SNAPSHOT),
    catchup=False,
    default_args=DEFAULT_ARGS,
    owner_links=owner_links(),
    dagrun_timeout=timedelta(hours=12) + LONGEST_WAIT,
    **dag_alerts("retrain"),
    max_active_runs=1,
    tags=["quartet", "training"],
    doc_md=__doc__,
    params=retrain_form(),
)
def retrain() -> None:
    """Train, measure, gate, promote."""

    @step(
        makes=run_file("plan.json"),
        returns="variants",
        task_display_name="Lay down the plan",
        doc_md="Lay down what the run trains on; returns the variants.",
    )
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

    @short_circuit_step(
        task_display_name="Has anything changed?",
        doc_md="End here when an earlier run has trained and decided the same; Force goes on.",
    )
    def anything_changed(retrain_id: str) -> bool:
        from ml.steps import anything_changed

        with open_context(run=retrain_id) as context:
            return bool(anything_changed.run(context, retrain_id)["changed"])

    @step(
        queue="gpu",
        pool="gpu",
        makes=run_file("features.json"),
        returns="parts",
        task_display_name="Find what is not cached",
        doc_md="Find the feature maps that are not cached; returns the parts to extract.",
    )
    def list_missing(retrain_id: str) -> list[str]:
        from ml.steps import list_missing

        with open_context(accelerator=True, run=retrain_id) as context:
            return list_missing.run(context, retrain_id)

    @step(
        queue="gpu",
        pool="gpu",
        makes=run_file("parts/{part}/extracted.json"),
        # The name of a part tells its variants.
        map_index_template="{{ task.op_kwargs['part'] }}",
        task_display_name="Extract feature maps",
        doc_md="Extract a part's feature maps, for all variants that lack them.",
    )
    def extract(retrain_id: str, part: str) -> dict[str, Any]:
        from ml.steps import extract

        with open_context(accelerator=True, run=retrain_id) as context:
            return extract.run(context, retrain_id, part)

    @step(
        queue="gpu",
        pool="gpu",
        makes=run_file("{variant}/tuning.json"),
        # With everything cached there is no part to extract, and `extract` is skipped.
        trigger_rule="none_failed",
        map_index_template="{{ task.op_kwargs['variant'] }}",
        task_display_name="Search hyper-parameters",
        doc_md="Search for the head's hyper-parameters; skipped unless the run asks for trials.",
    )
    def tune(retrain_id: str, variant: str) -> dict[str, Any]:
        trials = get_current_context()["params"]["trials"]
        if trials < 2:
            raise AirflowSkipException("The run asks for no trials.")
        # Not before: what is skipped need not wait for TensorFlow.
        from ml.steps import tune

        with open_context(accelerator=True, run=retrain_id) as context:
            return dict(tune.run(context, retrain_id, variant, trials)["changes"])

    @step(
        queue="gpu",
        pool="gpu",
        links=[RUN_PAGE, MLFLOW_RUN],
        makes=run_file("{variant}/"),
        # `tune` is skipped unless it was asked for.
        trigger_rule="none_failed",
        map_index_template="{{ task.op_kwargs['variant'] }}",
        task_display_name="Train the head",
        doc_md="Train the attention head of a variant.",
    )
    def train(retrain_id: str, variant: str) -> dict[str, Any]:
        from ml.steps import train

        with open_context(accelerator=True, run=retrain_id) as context:
            return train.run(context, retrain_id, variant)

    @step(
        queue="gpu",
        pool="gpu",
        links=[RUN_PAGE, MLFLOW_RUN],
        makes=run_file("evaluation.json"),
        returns="winner",
        task_display_name="Measure candidates and champion",
        doc_md="Measure the candidates and the champion on the same test images; returns the winner.",
    )
    def evaluate(retrain_id: str) -> str:
        from ml.steps import evaluate

        with open_context(accelerator=True, run=retrain_id) as context:
            return str(evaluate.run(context, retrain_id)["chosen"])

    @step(
        queue="gpu",
        pool="gpu",
        links=[RUN_PAGE],
        makes=run_file(),
        task_display_name="Examine the winner",
        doc_md="Look closely at the winner: exported, on changed images, at its overlays.",
    )
    def examine(retrain_id: str) -> dict[str, Any]:
        from ml.steps import examine

        with open_context(accelerator=True, run=retrain_id) as context:
            return dict(examine.run(context, retrain_id)["export"])

    @step(
        links=[RUN_PAGE],
        makes=run_file("decision.json"),
        task_display_name="Gate: apply the rules",
        doc_md="Apply the gate's rules to the winner; what it rejects is not published.",
    )
    def gate(retrain_id: str) -> dict[str, Any]:
        from ml.steps import gate

        with open_context(run=retrain_id) as context:
            decision = gate.run(context, retrain_id)
            warn_of_rejection(context, decision)
        return {"promoted": decision["promoted"], "reason": decision["reason"]}

    # Where the maps are, so that none is fetched; it takes no accelerator, and must not keep `promote` waiting for one.
    @step(
        queue="gpu",
        links=[RUN_PAGE],
        makes=run_file("label_issues.csv"),
        task_display_name="Find doubtful labels",
        doc_md="List the labels that people should look at again; nothing is changed.",
    )
    def review_labels(retrain_id: str) -> dict[str, Any]:
        from ml.steps import review_labels

        with open_context(run=retrain_id) as context:
            return review_labels.run(context, retrain_id)

    # Everything a run writes lies under its id, so tasks hand on references to it and nothing larger.
    retrain_id = "{{ run_id }}"
    with stage("features", "Images and feature maps", "Which images the run has, and every one through the backbones."):
        variants: Any = split(retrain_id)
        changed: Any = anything_changed(retrain_id)
        parts: Any = list_missing(retrain_id)
        extracted: Any = extract.partial(retrain_id=retrain_id).expand(part=parts)
    with stage("training", "Training", "A head for each variant, on the cached feature maps."):
        tuned: Any = tune.partial(retrain_id=retrain_id).expand(variant=variants)
        trained: Any = train.partial(retrain_id=retrain_id).expand(variant=variants)
    with stage(
        "evaluation", "Evaluation and gate", "Candidates and champion side by side; whether the winner may go on."
    ):
        evaluated: Any = evaluate(retrain_id)
        examined: Any = examine(retrain_id)
        decided: Any = gate(retrain_id)
        approve: Any = PromotionApproval(
            task_id="approve",
            retrain_id=retrain_id,
            task_display_name="Approval by a person",
            doc_md="Wait for a person's approval, where the settings ask for it.",
        )
        reviewed: Any = review_labels(retrain_id)
    with stage("promotion", "Promotion", "The winner as a version: published, tried, promoted, watched."):
        published: Any = promotion_tasks.publish(retrain_id, approve.output)
        tried: Any = promotion_tasks.canary(retrain_id)
        promoted: Any = promotion_tasks.promote(retrain_id, tried)
        watched: Any = promotion_tasks.watch(retrain_id)
    page: Any = promotion_tasks.report(retrain_id)
    variants >> changed >> parts
    extracted >> tuned >> trained >> evaluated >> examined >> decided >> approve
    published >> tried
    promoted >> watched >> page
    evaluated >> reviewed >> page


retrain()
