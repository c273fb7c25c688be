"""``quartet promote``: a person promotes the winner of a past run."""

from __future__ import annotations

import getpass
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console

from ml.terminal import print_values

__all__ = ["promote"]

console = Console()


def promote(
    run_id: Annotated[str, typer.Argument(help="A run of `retrain` whose winner is not in production.")],
    reason: Annotated[str, typer.Option(help="Why; kept on record.")],
    by: Annotated[str | None, typer.Option(help="Who decides; your user name by default.")] = None,
    against_the_gate: Annotated[
        bool,
        typer.Option("--against-the-gate", help="Although the gate rejected it, or compared it with another champion."),
    ] = False,
) -> None:
    """Publish a past run's winner as the next version, try it at the model server, and make it the champion.

    The same command again goes on where it was.
    """
    from ml.context import Context
    from ml.orders import PromotionRequest
    from ml.rollout import roll_out
    from ml.steps import order, report

    context, person = Context.from_environment().for_run(run_id), by or getpass.getuser()
    request = PromotionRequest(
        run_id, reason, person, f"command line: {person}: {reason}", against_the_gate, "command line"
    )
    ordered = order.run(context, request, datetime.now(UTC))
    served = roll_out(context, ordered.run_id)["reason"]
    page = report.run(context, ordered.run_id, datetime.now(UTC))
    print_values(console, "Promotion", {"decision": str(ordered), "served": served, **page})
