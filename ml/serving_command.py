"""``quartet history`` and ``quartet rollback``: what served when and why, and the way back."""

from __future__ import annotations

import getpass
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ml.terminal import print_values

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ml.promotions import Change

__all__ = ["history", "rollback"]

console = Console()

At = Annotated[
    str | None, typer.Option(help="Only what was in force at this time, in ISO 8601; UTC unless it says so.")
]


def history(
    at: At = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the records as they are kept.")] = False,
) -> None:
    """Show what served when, who decided, and on what evidence."""
    from ml.context import Context
    from ml.errors import DataError
    from ml.promotions import load_changes, served_at

    context = Context.from_environment()
    changes = load_changes(context.store, context.settings.model_name)
    if at is not None:
        found = served_at(changes, _time(at))
        if found is None:
            raise DataError(f"Nothing served at {at}.", "The first record is shown by `quartet history`.")
        changes = [found]
    if as_json:
        console.print_json(data=[change.to_dict() for change in changes])
    elif not changes:
        console.print("Nothing was promoted yet.")
    else:
        console.print(_table(changes))


def rollback(
    reason: Annotated[str, typer.Option(help="Why; kept on record.")],
    version: Annotated[int | None, typer.Argument(min=1, help="The one that served before by default.")] = None,
    by: Annotated[str | None, typer.Option(help="Who decides; your user name by default.")] = None,
    wait: Annotated[float, typer.Option(min=0, help="Seconds for the model server to follow; 0 does not wait.")] = 60,
) -> None:
    """Make an earlier version the stable one, and wait until the model server answers with it.

    The version that is stable now, named while another is on trial, ends that trial.
    """
    from ml.context import Context
    from ml.rollback import Request
    from ml.steps import roll_back

    context, started = Context.from_environment(), time.monotonic()
    change = roll_back.run(context, Request(reason, by or getpass.getuser(), version), datetime.now(UTC))
    try:
        if wait:
            roll_back.wait_until_served(context, change["version"], wait)
            change["served after"] = f"{time.monotonic() - started:.1f} s"
    finally:
        roll_back.follow(context)
    print_values(console, "Rollback", change)


def _time(text: str) -> datetime:
    from ml.errors import DataError

    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise DataError(f"{text!r} is no time in ISO 8601.", "For instance 2026-03-01T12:00:00+01:00.") from error
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _table(changes: Sequence[Change]) -> Table:
    table = Table("at", "what", "stable", "canary", "by", "run", "reason")
    for change in changes:
        serving = change.serving
        table.add_row(
            f"{change.when:%Y-%m-%d %H:%M:%S}",
            f"{change.action} {change.version}",
            str(serving.stable or ""),
            str(serving.canary or ""),
            escape(change.by),
            escape(f"{change.variant} of {change.run_id}"),
            escape(change.reason),
        )
    return table
