"""``quartet``: the pipeline's steps by hand, the same functions that the DAGs call."""

from __future__ import annotations

import logging
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
import yaml
from rich.console import Console
from rich.logging import RichHandler
from rich.markup import escape
from rich.table import Table

from ml.batch_predict_command import batch_predict
from ml.config import Settings, load_settings
from ml.exporter_command import exporter
from ml.forget_command import forget
from ml.monitor_command import monitor
from ml.predict_command import predict
from ml.promote_command import promote
from ml.quarantine_commands import quarantine
from ml.retrain_command import retrain, tune
from ml.serving_command import history, rollback
from ml.terminal import print_values, run_app

if TYPE_CHECKING:
    from ml.context import Context

__all__ = ["app", "main"]

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Keeps an image classifier in production: ingest, validate, retrain, gate, promote, serve.",
)
app.add_typer(quarantine, name="quarantine")
app.command()(exporter)
app.command()(forget)
app.command()(history)
app.command()(monitor)
app.command()(retrain)
app.command()(tune)
app.command()(promote)
app.command()(rollback)
app.command()(predict)
app.command()(batch_predict)
console = Console()
errors = Console(stderr=True)


def main() -> None:
    """Run the command line; an error that a person can mend ends with status 1 and the remedy."""
    # TensorFlow tells of every instruction set it could use, and calls it an error that there is no GPU.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.basicConfig(
        level=logging.INFO, format="%(message)s", handlers=[RichHandler(console=errors, show_path=False)]
    )
    for name in ("alembic", "mlflow", "great_expectations", "botocore", "absl"):
        logging.getLogger(name).setLevel(logging.WARNING)
    run_app(app, errors)


@app.command()
def config(schema: Annotated[bool, typer.Option(help="Describe every setting as JSON schema.")] = False) -> None:
    """Print the settings in force."""
    if schema:
        console.print_json(data=Settings.model_json_schema())
    else:
        typer.echo(yaml.safe_dump(load_settings().model_dump(mode="json"), sort_keys=False), nl=False)


@app.command()
def phantoms(
    folder: Annotated[Path, typer.Argument(help="Where to draw them; one folder a class is made in it.")],
    images_per_class: Annotated[int, typer.Option(min=8)] = 64,
    seed: int = 0,
) -> None:
    """Draw a set of phantom head slices in four classes, some of them deliberately bad."""
    from ml.phantom import draw_phantoms

    drawn = draw_phantoms(folder, images_per_class, seed)
    console.print(f"{drawn.good} images, {len(drawn.duplicates)} duplicates and {len(drawn.bad)} bad files in {folder}")


@app.command()
def upload(folder: Annotated[Path, typer.Argument(help="Holds one folder of images a class.")]) -> None:
    """Bring a folder of labelled images into the landing zone."""
    from ml.upload import upload_folder

    with console.status("uploading") as status:
        result = upload_folder(_context().store, folder, lambda done, of: status.update(f"uploading {done} of {of}"))
    console.print(f"{result.sent} files sent, {result.unchanged} were there already")


@app.command()
def ingest() -> None:
    """Take in what is new in the landing zone, validate the snapshot and publish it."""
    from ml.steps import clear_landing, describe, publish_snapshot, validate
    from ml.steps import ingest as step

    context = _context()
    arrivals = step.run(context, datetime.now(UTC))
    if arrivals["changed"]:
        describe.run(context, arrivals["snapshot_id"])
        validate.run(context, arrivals["snapshot_id"])
        arrivals |= publish_snapshot.run(context, arrivals["snapshot_id"])
    clear_landing.run(context)
    print_values(console, "Snapshot", arrivals)


@app.command()
def validate(
    snapshot_id: Annotated[str | None, typer.Argument(help="The newest published one by default.")] = None,
) -> None:
    """Hold a snapshot against the expectations again."""
    from ml.errors import DataError
    from ml.snapshots import latest_snapshot_id
    from ml.steps import validate as step

    context = _context()
    chosen = snapshot_id or latest_snapshot_id(context.store)
    if chosen is None:
        raise DataError("There is no published snapshot.", "Run `quartet ingest`.")
    print_values(console, "Validation", step.run(context, chosen))


@app.command()
def approve(
    run_id: Annotated[str, typer.Argument(help="A run whose winner the gate cleared.")],
    by: Annotated[str, typer.Option(help="Who approves: kept with the version.")],
    reject: Annotated[bool, typer.Option("--reject", help="Reject it instead.")] = False,
) -> None:
    """Approve a cleared run's winner and promote it, or reject it; write its page anew."""
    from ml.approval import Answer
    from ml.errors import DataError
    from ml.rollout import roll_out
    from ml.steps import approve as step
    from ml.steps import report

    if not by.strip():
        raise DataError("Nobody is named.", "Say who approves: --by NAME.")
    context, now = _context().for_run(run_id), datetime.now(UTC)
    approval = step.answer_unasked(
        context, run_id, Answer(not reject, now.isoformat(), by, through="command line"), now
    )
    served = roll_out(context, run_id)["reason"] if approval.approved else "nothing changed"
    page = report.run(context, run_id, datetime.now(UTC))
    print_values(console, "Approval", {"reason": str(approval), "served": served, **page})


@app.command()
def serve() -> None:
    """Run the local model server, which follows the published versions."""
    from serving.local import main as run_server

    raise SystemExit(run_server())


@app.command()
def test_alerts() -> None:
    """Send a test alert through every configured channel; ends with status 1 when one fails."""
    from ml.alerting import send, trial_alert
    from ml.errors import ConfigError

    settings = load_settings().alerts
    deliveries = send(trial_alert(settings.base_url, datetime.now(UTC)), settings)
    if not deliveries:
        raise ConfigError("No channel for alerts is configured.", "Set one under `alerts`: slack, smtp or webhook.")
    table = Table("channel", "sent", "seconds")
    for delivery in deliveries:
        table.add_row(delivery.channel, escape(delivery.error or "yes"), f"{delivery.seconds:.1f}")
    console.print(table)
    if any(delivery.error for delivery in deliveries):
        raise typer.Exit(1)


@app.command()
def status() -> None:
    """Show the newest snapshot, the champion, and what the model server serves."""
    from ml.promotions import find_champion
    from ml.snapshots import latest_snapshot_id

    context = _context()
    champion = find_champion(context.store, context.settings.model_name)
    print_values(
        console,
        "Status",
        {
            "store": context.store.url,
            "snapshot": latest_snapshot_id(context.store) or "none published yet",
            "champion": f"version {champion.version}, {champion.variant} of {champion.run_id}"
            if champion
            else "none yet",
            "serving": _serving(context.settings),
        },
    )


def _context() -> Context:
    from ml.context import Context

    return Context.from_environment()


def _serving(settings: Settings) -> str:
    from ml.errors import ServingError
    from serving.client import RestClient

    try:
        with RestClient.from_settings(settings, retries=0) as client:
            states = client.status()
    except ServingError as error:
        return error.message
    return ", ".join(f"version {state.version} {state.state}" for state in states)
