"""
# Ingest images

Takes what is new in the landing zone into the content-addressed store, validates the resulting snapshot with Great
Expectations, and publishes it. Refused objects go to quarantine with a reason.

| task | does |
|--|--|
| `list_arrivals` | compares the landing zone with the ledger of what was seen, and cuts what is new into chunks |
| `take_in` | one for each chunk: decodes, measures and stores new objects, or puts them into quarantine |
| `assemble` | settles conflicts, gives images their groups and splits; writes a snapshot that nothing points to yet |
| `describe` | draws the snapshot's class counts, shares and samples |
| `validate` | holds the snapshot against the expectations; a critical one that is not met fails the run |
| `publish_snapshot` | moves the pointer to the snapshot and publishes the asset that starts `retrain` |
| `clear_landing` | removes from the landing zone what was taken in, if `landing.delete_after_ingest` says so |

With nothing new the run ends after `assemble`, and no training starts.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import Metadata, dag, get_current_context, task

from plugins.alerts import FailureNotifier, warn_of_quality
from plugins.assets import DEFAULT_ARGS, SNAPSHOT
from plugins.deadlines import ingest_deadline
from plugins.forms import ingest_form, who_asked
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
    params=ingest_form(),
)
def ingest_images() -> None:
    """List, take in, assemble, describe, validate, publish."""

    @task(doc_md="Compare the landing zone with the ledger; returns the chunks of what is new.")
    def list_arrivals(ingest_id: str) -> list[str]:
        from datetime import UTC, datetime

        from ml.steps import list_arrivals

        airflow = get_current_context()
        reason, by = airflow["params"]["reason"] or "", who_asked(airflow["dag_run"])
        with open_context() as context:
            return list_arrivals.run(context, ingest_id, datetime.now(UTC), reason, by)

    @task(doc_md="Take a chunk's objects into the store or into quarantine.")
    def take_in(ingest_id: str, chunk: str) -> dict[str, Any]:
        from ml.steps import take_in

        with open_context() as context:
            return take_in.run(context, ingest_id, chunk)

    @task(trigger_rule="none_failed", doc_md="Write a snapshot of what was there and what was taken in.")
    def assemble(ingest_id: str) -> dict[str, Any]:
        from ml.steps import assemble

        with open_context() as context:
            return assemble.run(context, ingest_id)

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

    @task(doc_md="Remove from the landing zone what was taken in, if the settings say so.")
    def clear_landing() -> dict[str, Any]:
        from ml.steps import clear_landing

        with open_context() as context:
            return clear_landing.run(context)

    # The plan of an ingest lies under its id, so that tasks hand on nothing larger.
    ingest_id = "{{ run_id }}"
    arrivals: Any = assemble(ingest_id)
    take_in.partial(ingest_id=ingest_id).expand(chunk=list_arrivals(ingest_id)) >> arrivals
    described = describe(arrivals)
    validation: Any = validate(arrivals)
    anything_new(arrivals) >> described >> validation
    publish_snapshot(validation) >> clear_landing()


ingest_images()
