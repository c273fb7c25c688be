"""The demo, stage by stage."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from infra.local import stack
from infra.local.demo.images import Source, phantom_folder, switch_source
from infra.local.demo.stages import print_result, run_dags, teller, title, upload
from infra.local.demo.summary import print_places
from infra.local.demo.weights import choose_weights
from infra.local.processes import State
from infra.local.settings_file import local_settings
from ml.context import Context
from ml.landing_watch import announce
from ml.storage import open_store

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from rich.console import Console

    from infra.local.layout import Layout

__all__ = ["run_demo"]

ANOTHER_SERVER = "Is the model server one of another checkout? `make down`, then `make demo`."


def run_demo(root: Path, data: Path | None, console: Console, environ: Mapping[str, str] = os.environ) -> None:
    """Bring images in, run both DAGs through the scheduler, and ask the model server.

    A stack that runs already is used and left running; one that the demo starts is stopped again.

    Args:
        root: of the checkout.
        data: one folder of images a class; the drawn set by default.
        console: for the progress and the result.
        environ: overrides of the settings.

    Raises:
        QuartetError: whatever a person can mend: wrong images, a port in use, a task that failed.
    """
    source = Source.of(data)
    layout = stack.load_layout(root, environ)
    say = teller(console)

    title(console, "Weights")
    environ, missing = choose_weights(local_settings(layout.root, environ), environ, say)

    title(console, "Images")
    switch_source(layout, source, lambda: stack.down(layout, say), say)
    context = _context(layout, environ)
    upload(context, source.folder or phantom_folder(layout), console, say)

    title(console, "Stack")
    found_running = any(status.state is State.RUNNING for status in stack.status(layout))
    stack.up(layout, say, environ=environ)
    try:
        with stack.airflow_api(layout) as api:
            # The stack watches the landing zone, and would start an ingest of its own beside the demo's.
            announce(context.store)
            run = run_dags(api, layout.task_logs, console, say)
        pages = print_result(console, context, run, missing, ANOTHER_SERVER)
        print_places(console, layout, pages, found_running)
    finally:
        if not found_running:
            stack.down(layout)


def _context(layout: Layout, environ: Mapping[str, str]) -> Context:
    settings = local_settings(layout.root, environ)
    return Context(settings, open_store(settings.store))
