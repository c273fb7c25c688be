"""What the demo prints at its end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from infra.local.credentials import ADMIN
from ml import layout as keys
from ml.candidates import weights_notice
from ml.storage import read_json
from ml.terminal import leaderboard_table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console

    from infra.local.demo.answers import Answers
    from infra.local.layout import Layout
    from ml.context import Context

__all__ = ["print_answers", "print_places", "print_run"]


def print_run(console: Console, context: Context, run_id: str, missing_weights: str | None) -> Mapping[str, Any]:
    """Print the run's candidates and the gate's decision, and return the decision."""
    evaluation = read_json(context.store, keys.run_key(run_id, "evaluation.json"))
    decision: dict[str, Any] = read_json(context.store, keys.run_key(run_id, "decision.json"))
    notice = weights_notice(context.settings)
    console.print()
    if notice:
        reason = f" ImageNet's could not be had: {missing_weights}" if missing_weights else ""
        console.print(Panel(escape(notice + reason), title="Not pretrained", title_align="left", border_style="yellow"))
    console.print(leaderboard_table(evaluation))
    verdict = "[bold green]promoted[/]" if decision["promoted"] else "[bold yellow]not promoted[/]"
    console.print(f"Gate: {decision['variant']} {verdict}. {escape(decision['reason'])}", highlight=False)
    return decision


def print_answers(console: Console, version: int, answers: Answers) -> None:
    """Print what the model server said of one image."""
    table = Table("asked", "class", "probability", title=f"One test image ({answers.truth})", title_justify="left")
    for name, probabilities in (
        ("gRPC", answers.grpc),
        ("REST", answers.rest),
        ("Keras, without a server", answers.offline),
    ):
        best = int(probabilities.argmax())
        table.add_row(name, escape(answers.classes[best]), f"{probabilities[best]:.6f}")
    console.print()
    console.print(table)
    console.print(
        f"Version {version} is served; it differs from the offline prediction by {answers.difference:.1e} at most.",
        highlight=False,
    )


def print_places(console: Console, layout: Layout, pages: Mapping[str, str], stays_up: bool) -> None:
    """Print where to look further: pages by what they show, and the stack's addresses."""
    places = {
        **pages,
        "Airflow": f"{layout.airflow_url}, sign in as {ADMIN}, password in {layout.passwords_file}",
        "model server": f"REST {layout.rest_url}, gRPC {layout.grpc_address}",
    }
    console.print("\nWhere to look", style="italic")
    for name, address in places.items():
        # Not a table: a path that is cut or folded cannot be opened.
        console.print(f"  {name:<13} {address}", markup=False, highlight=False, soft_wrap=True)
    if stays_up:
        console.print("\nThe stack goes on running; `make down` stops it.")
    else:
        console.print(
            "\nThe stack stops now; `make up` brings Airflow and the model server back, with all this in them."
        )
