"""
# Batch predict

Classifies all images below a prefix of the store with the model in production, and writes the answers as parquet.
Started by hand.

| task | does |
|--|--|
| `plan_predictions` | lists the images, cuts them into shards, and pins the version that `serving.label` names now |
| `predict_shard` | one for each shard: asks the model server, and writes `part-*.parquet` with a row for each image |
| `publish_predictions` | checks that all shards are there, writes `batch.json` and publishes the asset |

Every row is answered by the pinned version, whatever is promoted meanwhile. If that version is no longer served, the
run fails: clear `plan_predictions` with the tasks after it, and the batch is asked anew of the version served by then.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import Metadata, dag, get_current_context

from plugins.alerts import dag_alerts
from plugins.assets import CHAMPION, DEFAULT_ARGS, PREDICTIONS
from plugins.forms import batch_predict_form
from plugins.links import MODELS_PAGE
from plugins.made import batch_file
from plugins.owner import owner_links
from plugins.step_context import open_context
from plugins.tasks import step


@dag(
    dag_display_name="Batch predict",
    schedule=None,
    default_args=DEFAULT_ARGS,
    owner_links=owner_links(),
    dagrun_timeout=timedelta(hours=24),
    **dag_alerts("batch_predict"),
    max_active_runs=1,
    tags=["quartet", "serving"],
    doc_md=__doc__,
    params=batch_predict_form(),
)
def batch_predict() -> None:
    """Plan, ask, publish."""

    @step(
        links=[MODELS_PAGE],
        makes=batch_file("plan.json"),
        returns="shards",
        task_display_name="Plan the batch",
        doc_md="List the images and pin the version; returns the shards.",
    )
    def plan_predictions(batch_id: str) -> list[str]:
        from datetime import UTC, datetime

        from ml.steps import plan_predictions

        params = get_current_context()["params"]
        with open_context() as context:
            return plan_predictions.run(context, batch_id, params["prefix"], datetime.now(UTC), params["shard_size"])

    @step(
        # The server has so many processors, however many workers there are.
        max_active_tis_per_dagrun=2,
        makes=batch_file("part-{shard}.parquet"),
        map_index_template="shard {{ task.op_kwargs['shard'] }}",
        task_display_name="Ask about a shard",
        doc_md="Ask the pinned version about a shard's images.",
    )
    def predict_shard(batch_id: str, shard: str) -> dict[str, Any]:
        from ml.steps import predict_shard

        with open_context() as context:
            return predict_shard.run(context, batch_id, shard)

    @step(
        inlets=[CHAMPION],
        outlets=[PREDICTIONS],
        makes=batch_file("batch.json"),
        returns="batch",
        task_display_name="Publish the answers",
        doc_md="See that all shards are answered, and say that the batch is finished.",
    )
    def publish_predictions(batch_id: str) -> Any:
        from datetime import UTC, datetime

        from ml.steps import publish_predictions

        with open_context() as context:
            published = publish_predictions.run(context, batch_id, datetime.now(UTC))
        yield Metadata(PREDICTIONS, extra=published)
        return published["uri"]

    # Everything a batch writes lies under its name, so tasks hand on references to it and nothing larger.
    batch_id = "{{ params.name or run_id }}"
    shards: Any = plan_predictions(batch_id)
    predict_shard.partial(batch_id=batch_id).expand(shard=shards) >> publish_predictions(batch_id)


batch_predict()
