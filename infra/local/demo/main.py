"""The demo, stage by stage."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from infra.local import stack
from infra.local.demo.answers import ask_everywhere, wait_for_version
from infra.local.demo.follow import RunFollower, wait_for_run
from infra.local.demo.images import Source, phantom_folder, switch_source
from infra.local.demo.summary import print_answers, print_places, print_run
from infra.local.demo.weights import choose_weights
from infra.local.processes import State
from infra.local.settings_file import local_settings
from ml import layout as keys
from ml.context import Context
from ml.errors import ServingError
from ml.landing_watch import announce
from ml.storage import open_store

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from rich.console import Console

    from infra.local.airflow_api import AirflowApi, DagRun
    from infra.local.layout import Layout

__all__ = ["run_demo"]

#: The DAGs have their own, longer limits: who watches a terminal wants to know sooner.
INGEST_SECONDS = 3600.0
RETRAIN_SECONDS = 3 * 3600.0


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
    say = _teller(console)

    _title(console, "Weights")
    environ, missing = choose_weights(local_settings(layout.root, environ), environ, say)

    _title(console, "Images")
    switch_source(layout, source, lambda: stack.down(layout, say), say)
    context = _context(layout, environ)
    _upload(context, source.folder or phantom_folder(layout), console, say)

    _title(console, "Stack")
    found_running = any(status.state is State.RUNNING for status in stack.status(layout))
    stack.up(layout, say, environ=environ)
    try:
        with stack.airflow_api(layout) as api:
            # The stack watches the landing zone, and would start an ingest of its own beside the demo's.
            announce(context.store)
            run = _run_dags(api, layout, console, say)
        _report(console, context, layout, run, missing, found_running)
    finally:
        if not found_running:
            stack.down(layout)


def _context(layout: Layout, environ: Mapping[str, str]) -> Context:
    settings = local_settings(layout.root, environ)
    return Context(settings, open_store(settings.store))


def _upload(context: Context, folder: Path, console: Console, say: Callable[[str], None]) -> None:
    from ml.upload import upload_folder

    with console.status("uploading") as status:
        result = upload_folder(context.store, folder, lambda done, of: status.update(f"uploading {done} of {of}"))
    say(f"{result.sent} files of {folder} sent to the landing zone, {result.unchanged} were there already")


def _run_dags(api: AirflowApi, layout: Layout, console: Console, say: Callable[[str], None]) -> DagRun:
    _title(console, "ingest_images")
    since = datetime.now(UTC)
    ingest = api.trigger("ingest_images")
    RunFollower(api, layout, say, INGEST_SECONDS).follow(ingest)
    _title(console, "retrain")
    if _changed(api, ingest):
        run = wait_for_run(api, "retrain", since)
        say(f"started by the new snapshot: {run.run_id}")
    else:
        # Without `force` a run like an earlier one ends at once, and a demo would have nothing to show.
        run = api.trigger("retrain", {"force": True, "reason": "the demo once more"})
        say(f"nothing new arrived, so no snapshot started it; started by hand, with force: {run.run_id}")
    return RunFollower(api, layout, say, RETRAIN_SECONDS).follow(run)


def _changed(api: AirflowApi, ingest: DagRun) -> bool:
    arrivals: Any = api.xcom(ingest.dag_id, ingest.run_id, "assemble")
    return bool(arrivals["changed"])


def _report(
    console: Console, context: Context, layout: Layout, run: DagRun, missing: str | None, stays_up: bool
) -> None:
    from ml.plan import load_plan
    from ml.promotions import find_champion

    _title(console, "Result")
    print_run(console, context, run.run_id, missing)
    champion = find_champion(context.store, context.settings.model_name)
    if champion is None:
        console.print("No version is served: none has cleared the gate yet.")
    else:
        wait_for_version(context, champion.version)
        answers = ask_everywhere(context, champion)
        print_answers(console, champion.version, answers)
        if not answers.agree:
            raise ServingError(
                f"The model server's answer differs from the offline prediction by {answers.difference:.1e}.",
                "Is the model server one of another checkout? `make down`, then `make demo`.",
            )
    snapshot_id = load_plan(context.store, run.run_id)["snapshot_id"]
    pages = {
        "this run": context.store.uri(keys.run_key(run.run_id, "report.html")),
        "its images": context.store.uri(keys.snapshot_key(snapshot_id, "report/index.html")),
    }
    print_places(console, layout, pages, stays_up)


def _title(console: Console, text: str) -> None:
    console.print()
    console.rule(f"[bold]{text}", align="left")


def _teller(console: Console) -> Callable[[str], None]:
    def say(text: str) -> None:
        console.print(f"  {text}", markup=False, highlight=False, soft_wrap=True)

    return say
