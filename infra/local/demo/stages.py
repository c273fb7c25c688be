"""The stages that every demo has, whatever the stack it runs on."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from infra.local.demo.answers import ask_everywhere, wait_for_version
from infra.local.demo.follow import RunFollower, wait_for_run
from infra.local.demo.summary import print_answers, print_run
from ml import layout as keys
from ml.errors import ServingError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from rich.console import Console

    from infra.local.airflow_api import AirflowApi, DagRun
    from ml.context import Context

__all__ = ["print_result", "run_dags", "teller", "title", "upload"]

#: The DAGs have their own, longer limits: who watches a terminal wants to know sooner.
INGEST_SECONDS = 3600.0
RETRAIN_SECONDS = 3 * 3600.0


def title(console: Console, text: str) -> None:
    """A rule with the name of the stage that begins."""
    console.print()
    console.rule(f"[bold]{text}", align="left")


def teller(console: Console) -> Callable[[str], None]:
    """Prints a line as it is."""

    def say(text: str) -> None:
        console.print(f"  {text}", markup=False, highlight=False, soft_wrap=True)

    return say


def upload(context: Context, folder: Path, console: Console, say: Callable[[str], None]) -> None:
    """Bring a folder's images into the landing zone."""
    from ml.upload import upload_folder

    with console.status("uploading") as status:
        result = upload_folder(context.store, folder, lambda done, of: status.update(f"uploading {done} of {of}"))
    say(f"{result.sent} files of {folder} sent to the landing zone, {result.unchanged} were there already")


def run_dags(api: AirflowApi, logs: Path, console: Console, say: Callable[[str], None]) -> DagRun:
    """Run `ingest_images`, and the retraining that its snapshot starts; returns the latter as it ended.

    Args:
        api: Airflow's.
        logs: its folder of task logs.
        console: for the titles.
        say: is told what happens.

    Raises:
        StackError: a task failed, or a run has not begun or ended in time.
    """
    title(console, "ingest_images")
    since = datetime.now(UTC)
    ingest = api.trigger("ingest_images")
    RunFollower(api, logs, say, INGEST_SECONDS).follow(ingest)
    title(console, "retrain")
    if _changed(api, ingest):
        run = wait_for_run(api, "retrain", since)
        say(f"started by the new snapshot: {run.run_id}")
    else:
        # Without `force` a run like an earlier one ends at once, and a demo would have nothing to show.
        run = api.trigger("retrain", {"force": True, "reason": "the demo once more"})
        say(f"nothing new arrived, so no snapshot started it; started by hand, with force: {run.run_id}")
    return RunFollower(api, logs, say, RETRAIN_SECONDS).follow(run)


def print_result(
    console: Console, context: Context, run: DagRun, missing_weights: str | None, remedy: str
) -> dict[str, str]:
    """Print what a run gave, and what the model server answers with it.

    Args:
        console: to print on.
        context: settings and store of the run.
        run: of `retrain`, ended.
        missing_weights: why ImageNet's could not be had; None where they could.
        remedy: for a server that answers otherwise than the model.

    Returns:
        Addresses of its pages in the store, by what they show.

    Raises:
        ServingError: the server does not serve the champion, or answers otherwise.
    """
    from ml.plan import load_plan
    from ml.promotions import find_champion

    title(console, "Result")
    print_run(console, context, run.run_id, missing_weights)
    champion = find_champion(context.store, context.settings.model_name)
    if champion is None:
        console.print("No version is served: none has cleared the gate yet.")
    else:
        wait_for_version(context, champion.version)
        answers = ask_everywhere(context, champion)
        print_answers(console, champion.version, answers)
        if not answers.agree:
            raise ServingError(
                f"The model server's answer differs from the offline prediction by {answers.difference:.1e}.", remedy
            )
    snapshot_id = load_plan(context.store, run.run_id)["snapshot_id"]
    return {
        "this run": context.store.uri(keys.run_key(run.run_id, "report.html")),
        "its images": context.store.uri(keys.snapshot_key(snapshot_id, "report/index.html")),
    }


def _changed(api: AirflowApi, ingest: DagRun) -> bool:
    arrivals: Any = api.xcom(ingest.dag_id, ingest.run_id, "assemble")
    return bool(arrivals["changed"])
