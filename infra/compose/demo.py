"""The profile `demo`: images for the stack of docker-compose.yaml, both DAGs, and the model server asked.

``images`` draws and uploads, with the rights of whoever brings images; ``run`` does the rest.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import typer
from rich.console import Console

from infra.local.airflow_api import AirflowApi
from infra.local.credentials import ADMIN
from infra.local.demo.images import IMAGES_PER_CLASS, SEED
from infra.local.demo.stages import print_result, run_dags, teller, title, upload
from infra.local.stack import PIPELINE
from ml.context import Context
from ml.errors import ConfigError
from ml.terminal import run_app

__all__ = ["app"]

API = "http://airflow-api-server:8080"
LOGS = Path("/opt/airflow/logs")

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
# A log has no width of its own, and its reader no colours.
console = Console(width=120, color_system=None)


@app.command()
def images(images_per_class: int = IMAGES_PER_CLASS) -> None:
    """Draw head slices in four classes, and upload them."""
    from ml.phantom import draw_phantoms

    context = _context()
    title(console, "Images")
    with tempfile.TemporaryDirectory() as folder:
        draw_phantoms(Path(folder), images_per_class, SEED)
        upload(context, Path(folder), console, teller(console))


@app.command()
def run() -> None:
    """Run both DAGs, and ask the model server by both protocols."""
    from ml.landing_watch import announce

    context, say = _context(), teller(console)
    with AirflowApi(API, ADMIN, os.environ["AIRFLOW_ADMIN_PASSWORD"]) as api:
        # Airflow watches the landing zone as soon as the DAG runs, and would start an ingest beside the demo's.
        announce(context.store)
        for dag_id in PIPELINE:
            api.unpause(dag_id)
        ended = run_dags(api, LOGS, console, say)
    pages = print_result(console, context, ended, None, "Do other servers of that name run in this network?")
    for name, address in pages.items():
        say(f"{name}: {address}")
    say("Airflow: http://localhost:8080, or QUARTET_AIRFLOW_PORT; user admin, AIRFLOW_ADMIN_PASSWORD in .env")


def _context() -> Context:
    context = Context.from_environment()
    if context.settings.weights.source != "random":
        raise ConfigError(
            "The stack runs with settings that are not the demo's: drawn images would be trained on as if real.",
            "Set QUARTET_SETTINGS_FILE=./infra/compose/quartet.demo.yaml in .env, and start the stack again.",
        )
    return context


if __name__ == "__main__":
    run_app(app, Console(stderr=True))
