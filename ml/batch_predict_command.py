"""``quartet batch-predict``: the steps of the DAG ``batch_predict`` by hand."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from ml.terminal import print_values

__all__ = ["batch_predict"]

console = Console()
errors = Console(stderr=True)


def batch_predict(
    prefix: Annotated[str, typer.Argument(help="Of the images' keys in the store, e.g. incoming/2026-11/.")],
    name: Annotated[
        str | None, typer.Option(help="Of the batch; one that was not finished goes on. A new one by default.")
    ] = None,
    shard_size: Annotated[int, typer.Option(min=1, help="Images that are asked again at most after a failure.")] = 1000,
) -> None:
    """Classify all images below a prefix of the store with the served model, into parquet under predictions/."""
    from ml.context import Context
    from ml.steps import plan_predictions, predict_shard, publish_predictions

    context = Context.from_environment()
    batch_id = name or f"cli-{datetime.now(UTC):%Y%m%dT%H%M%S}"
    shards = plan_predictions.run(context, batch_id, prefix, datetime.now(UTC), shard_size)
    with Progress(console=errors, transient=True, disable=not errors.is_terminal) as progress:
        for shard in progress.track(shards, description=f"asking, {shard_size} images at a time"):
            predict_shard.run(context, batch_id, shard)
    print_values(console, "Predictions", publish_predictions.run(context, batch_id, datetime.now(UTC)))
