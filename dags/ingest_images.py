"""
# Ingest images

Takes what is new in the landing zone into the content-addressed store, validates the resulting snapshot with Great
Expectations, and publishes it. Refused objects go to quarantine with a reason.

| task | does |
|--|--|
| `ingest` | reads new objects, decodes, measures and stores them; writes a snapshot that nothing points to yet |
| `describe` | draws the snapshot's class counts, shares and samples |
| `validate` | holds the snapshot against the expectations; a critical one that is not met fails the run |
| `publish_snapshot` | moves the pointer to the snapshot and publishes the asset that starts `retrain` |

With nothing new the run ends after `ingest`, and no training starts.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import Metadata, dag, task

from plugins.alerts import FailureNotifier, warn_of_quality
from plugins.assets import DEFAULT_ARGS, SNAPSHOT
from plugins.deadlines import ingest_deadline
from plugins.step_context import open_context


@dag(
    dag_display_name="Ingest images",
    schedule=None,
    default_args=DEFAULT_ARGS,
    dagrun_timeout=timedelta(hours=6),
    deadline=ingest_deadline(),
    on_failure_callback=FailureNotifier(),
    max_active_runs=1,
    tags=["quartet", "data"],
    doc_md=__doc__,
)
def ingest_images() -> None:
    """Take in, describe, validate, publish."""

    @task(doc_md="Take new objects into the store or into quarantine.")
    def ingest() -> dict[str, Any]:
        from datetime import UTC, datetime

        from ml.steps import ingest

        with open_context() as context:
            return ingest.run(context, datetime.now(UTC))

    @task.short_circuit(doc_md="End here when nothing new arrived.")
    def anything_new(arrivals: dict[str, Any]) -> bool:
        return bool(arrivals["changed"])

    @task(doc_md="Draw the snapshot's class counts, shares and samples.")
    def describe(arrivals: dict[str, Any]) -> dict[str, str]:
        from ml.steps import describe

        with open_context() as context:
            return describe.run(context, arrivals["snapshot_id"])

    @task(doc_md="Hold the snapshot against the expectations.")
    def validate(arrivals: dict[str, Any]) -> dict[str, Any]:
        from ml.steps import validate

        with open_context() as context:
            validation = validate.run(context, arrivals["snapshot_id"])
            warn_of_quality(context.settings, validation)
        return validation

    @task(outlets=[SNAPSHOT], doc_md="Point to the snapshot and publish the asset that starts `retrain`.")
    def publish_snapshot(validation: dict[str, Any]) -> Any:
        from ml.steps import publish_snapshot

        with open_context() as context:
            published = publish_snapshot.run(context, validation["snapshot_id"])
        yield Metadata(SNAPSHOT, extra=published)

    arrivals: Any = ingest()
    described = describe(arrivals)
    validation: Any = validate(arrivals)
    anything_new(arrivals) >> described >> validation
    publish_snapshot(validation)


ingest_images()
