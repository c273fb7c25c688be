"""
# Retrain

Started by a published snapshot, or by hand. Brings the feature cache up to date, trains a head for each variant,
measures them and the champion on the frozen test split, and promotes the winner if the gate lets it.

| task | does |
|--|--|
| `split` | lays down what the run trains on; an image's split was decided when it arrived |
| `candidate.extract` | a variant's backbone over the images whose feature maps are not cached yet |
| `candidate.train` | a variant's attention head on the cached feature maps |
| `evaluate` | every candidate and the champion on the same test images; the winner is chosen on validation images |
| `gate` | the configured rules, each with its numbers |
| `promote` | exports the winner, publishes it as the next version, makes it the champion; skipped if rejected |
| `report` | the run's page |
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import Metadata, Param, dag, get_current_context, task, task_group
from airflow.sdk.exceptions import AirflowSkipException

from plugins.assets import CHAMPION, DEFAULT_ARGS, SNAPSHOT


@dag(
    dag_display_name="Retrain",
    schedule=[SNAPSHOT],
    default_args=DEFAULT_ARGS,
    dagrun_timeout=timedelta(hours=12),
    max_active_runs=1,
    tags=["quartet", "training"],
    doc_md=__doc__,
    params={
        "variants": Param(
            [],
            type="array",
            items={"type": "string"},
            title="Variants",
            description="Names under `variants` in the settings, one a line; none means all of them.",
        ),
        "snapshot_id": Param(
            None,
            type=["null", "string"],
            title="Snapshot",
            description="Train on this snapshot; empty means the newest published one.",
        ),
    },
)
def retrain() -> None:
    """Train, measure, gate, promote."""

    @task(doc_md="Lay down what the run trains on; returns the variants.")
    def split(run_id: str) -> list[str]:
        from ml.context import Context
        from ml.steps import split

        params = get_current_context()["params"]
        plan = split.run(Context.from_environment(), run_id, params["snapshot_id"], params["variants"])
        return list(plan["variants"])

    @task(queue="gpu", pool="gpu", map_index_template="{{ variant }}", doc_md="Extract missing feature maps.")
    def extract(run_id: str, variant: str) -> dict[str, Any]:
        from ml.context import Context
        from ml.steps import extract

        get_current_context()["variant"] = variant  # type: ignore[typeddict-unknown-key]
        return extract.run(Context.from_environment(), run_id, variant)

    @task(queue="gpu", pool="gpu", map_index_template="{{ variant }}", doc_md="Train the attention head.")
    def train(features: dict[str, Any]) -> dict[str, Any]:
        from ml.context import Context
        from ml.steps import train

        get_current_context()["variant"] = features["variant"]  # type: ignore[typeddict-unknown-key]
        return train.run(Context.from_environment(), features)

    @task_group
    def candidate(run_id: str, variant: str) -> None:
        features: Any = extract(run_id, variant)
        train(features)

    @task(queue="gpu", pool="gpu", doc_md="Measure the candidates and the champion on the same test images.")
    def evaluate(run_id: str) -> str:
        from ml.context import Context
        from ml.steps import evaluate

        return str(evaluate.run(Context.from_environment(), run_id)["chosen"])

    @task(multiple_outputs=True, doc_md="Apply the gate's rules to the winner.")
    def gate(run_id: str) -> dict[str, Any]:
        from ml.context import Context
        from ml.steps import gate

        decision = gate.run(Context.from_environment(), run_id)
        return {"promoted": decision["promoted"], "reason": decision["reason"]}

    @task(outlets=[CHAMPION], queue="gpu", doc_md="Publish the winner and make it the champion.")
    def promote(run_id: str, promoted: bool, reason: str) -> Any:
        from ml.context import Context
        from ml.steps import promote

        if not promoted:
            raise AirflowSkipException(reason)
        promotion = promote.run(Context.from_environment(), run_id)
        yield Metadata(CHAMPION, extra=promotion)
        return promotion["version"]

    @task(trigger_rule="none_failed", doc_md="Write the run's page.")
    def report(run_id: str, version: int | None) -> dict[str, Any]:
        from datetime import UTC, datetime

        from ml.context import Context
        from ml.steps import report

        return report.run(Context.from_environment(), run_id, datetime.now(UTC), version)

    # Everything a run writes lies under its id, so tasks hand on references to it and nothing larger.
    run_id = "{{ run_id }}"
    decision: Any = gate(run_id)
    candidate.partial(run_id=run_id).expand(variant=split(run_id)) >> evaluate(run_id) >> decision
    version: Any = promote(run_id, decision["promoted"], decision["reason"])
    report(run_id, version)


retrain()
