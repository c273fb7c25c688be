"""
# Ingest images

Takes what is new in the landing zone into the content-addressed store, validates the resulting snapshot with Great
Expectations, and publishes it. Refused objects go to quarantine with a reason.

Started when something new lies in the landing zone, once a day in case nobody noticed, or by hand.
`QUARTET_LANDING_POLL_SECONDS` and `QUARTET_INGEST_SCHEDULE` change how often.

| task | does |
|--|--|
| `list_arrivals` | compares the landing zone with the ledger of what was seen, and cuts what is new into chunks |
| `take_in` | one for each chunk: decodes, measures and stores new objects, or puts them into quarantine |
| `assemble` | settles conflicts, gives images their groups and splits; writes a snapshot that nothing points to yet |
| `anything_new` | ends the run here where nothing new arrived |
| `describe` | draws the snapshot's class counts, shares and samples |
| `validate` | holds the snapshot against the expectations; a critical one that is not met fails the run |
| `publish_snapshot` | moves the pointer to the snapshot and publishes the asset that starts `retrain` |
| `clear_landing` | removes from the landing zone what was taken in, if `landing.delete_after_ingest` says so |

With nothing new the run ends after `anything_new`, and no training starts.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import Metadata, dag, get_current_context

from ml import layout
from plugins.alerts import dag_alerts, warn_of_quality
from plugins.assets import DEFAULT_ARGS, LANDING, SNAPSHOT
from plugins.forms import ingest_form, who_asked
from plugins.links import DATA_DOCS, SNAPSHOT_PAGE
from plugins.made import chunk_file, ingest_plan, key, snapshot_file
from plugins.owner import owner_links
from plugins.schedules import ingest_schedule
from plugins.step_context import open_context
from plugins.tasks import short_circuit_step, stage, step


@dag(
    dag_display_name="Ingest images",
    schedule=ingest_schedule(LANDING),
    catchup=False,
    default_args=DEFAULT_ARGS,
    owner_links=owner_links(),
    dagrun_timeout=timedelta(hours=6),
    **dag_alerts("ingest_images"),
    max_active_runs=1,
    tags=["quartet", "data"],
    doc_md=__doc__,
    params=ingest_form(),
)
def ingest_images() -> None:
    """List, take in, assemble, describe, validate, publish."""

    @step(
        makes=ingest_plan,
        returns="chunks",
        task_display_name="List what is new",
        doc_md="Compare the landing zone with the ledger; returns the chunks of what is new.",
    )
    def list_arrivals(ingest_id: str) -> list[str]:
        from datetime import UTC, datetime

        from ml.steps import list_arrivals

        airflow = get_current_context()
        reason, by = airflow["params"]["reason"] or "", who_asked(airflow["dag_run"])
        with open_context() as context:
            return list_arrivals.run(context, ingest_id, datetime.now(UTC), reason, by)

    @step(
        makes=chunk_file("rows.parquet"),
        map_index_template="chunk {{ ti.map_index + 1 }}: {{ task.op_kwargs['chunk'][:12] }}",
        task_display_name="Take objects in",
        doc_md="Take a chunk's objects into the store or into quarantine.",
    )
    def take_in(ingest_id: str, chunk: str) -> dict[str, Any]:
        from ml.steps import take_in

        with open_context() as context:
            return take_in.run(context, ingest_id, chunk)

    @step(
        trigger_rule="none_failed",
        makes=snapshot_file(),
        task_display_name="Assemble the snapshot",
        doc_md="Write a snapshot of what was there and what was taken in; nothing points to it yet.",
    )
    def assemble(ingest_id: str) -> dict[str, Any]:
        from ml.steps import assemble

        with open_context() as context:
            return assemble.run(context, ingest_id)

    @short_circuit_step(
        task_display_name="Anything new?",
        doc_md="End the run here where nothing new arrived; returns the snapshot otherwise.",
    )
    def anything_new(arrivals: dict[str, Any]) -> str | None:
        return str(arrivals["snapshot_id"]) if arrivals["changed"] else None

    @step(
        makes=snapshot_file("report/"),
        returns="snapshot",
        task_display_name="Draw the snapshot",
        doc_md="Draw the snapshot's class counts, shares and samples.",
    )
    def describe(snapshot_id: str) -> str:
        from ml.steps import describe

        with open_context() as context:
            describe.run(context, snapshot_id)
        return snapshot_id

    @step(
        links=[SNAPSHOT_PAGE, DATA_DOCS],
        makes=snapshot_file("report/"),
        task_display_name="Validate",
        doc_md="Hold the snapshot against the expectations; a critical one that is not met fails the run.",
    )
    def validate(snapshot_id: str) -> dict[str, Any]:
        from ml.steps import validate

        with open_context() as context:
            validation = validate.run(context, snapshot_id)
            warn_of_quality(context.settings, validation)
        return validation

    @step(
        inlets=[LANDING],
        outlets=[SNAPSHOT],
        links=[SNAPSHOT_PAGE, DATA_DOCS],
        makes=snapshot_file(),
        returns="snapshot",
        task_display_name="Publish the snapshot",
        doc_md="Point to the snapshot and publish the asset that starts `retrain`.",
    )
    def publish_snapshot(validation: dict[str, Any]) -> Any:
        from ml.event_facts import snapshot_facts
        from ml.steps import publish_snapshot

        with open_context() as context:
            published = publish_snapshot.run(context, validation["snapshot_id"])
            facts = snapshot_facts(context, published["snapshot_id"])
        yield Metadata(SNAPSHOT, extra=published | facts)
        return published["snapshot_id"]

    @step(
        makes=key(layout.LANDING),
        task_display_name="Clear the landing zone",
        doc_md="Remove from the landing zone what was taken in, if the settings say so.",
    )
    def clear_landing() -> dict[str, Any]:
        from ml.steps import clear_landing

        with open_context() as context:
            return clear_landing.run(context)

    # The plan of an ingest lies under its id, so that tasks hand on nothing larger.
    ingest_id = "{{ run_id }}"
    with stage("arrivals", "What arrived", "New objects of the landing zone, into the store or into quarantine."):
        chunks: Any = list_arrivals(ingest_id)
        taken: Any = take_in.partial(ingest_id=ingest_id).expand(chunk=chunks)
    with stage(
        "snapshot_and_quality", "Snapshot and quality", "A snapshot of all images, drawn, validated, published."
    ):
        arrivals: Any = assemble(ingest_id)
        snapshot_id: Any = anything_new(arrivals)
        described: Any = describe(snapshot_id)
        validation: Any = validate(described)
        published: Any = publish_snapshot(validation)
    taken >> arrivals
    published >> clear_landing()


ingest_images()
