"""``quartet housekeeping``: what it asks, and what it tells."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ml.housekeeping import Item

__all__ = ["housekeeping"]

console = Console()


def housekeeping(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be removed.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Remove what is older than `retention` says and needed by nothing."""
    from ml.context import Context
    from ml.housekeeping import Item
    from ml.layout import housekeeping_key
    from ml.steps import clean, plan_housekeeping
    from ml.storage import read_json

    context, now = Context.from_environment(), datetime.now(UTC)
    housekeeping_id = f"by-hand-{now:%Y%m%dT%H%M%S.%f}"
    planned = plan_housekeeping.run(context, housekeeping_id, now)
    document = read_json(context.store, housekeeping_key(housekeeping_id, plan_housekeeping.PLAN))
    _show([Item.from_dict(one) for one in document["going"]])
    page = planned["page"]
    if planned["going"] and not dry_run:
        if not yes:
            typer.confirm("Remove all of this for good?", abort=True)
        done = clean.run(context, housekeeping_id, datetime.now(UTC))
        console.print(f"{done['removed']} removed, {done['bytes'] / 1e6:.1f} MB; {done['kept']} kept after all.")
        page = done["page"]
    # Whole, so that it can be opened.
    console.print(page, soft_wrap=True, highlight=False, markup=False)


def _show(going: Sequence[Item]) -> None:
    if not going:
        console.print("Nothing is to go.")
        return
    table = Table("kind", "name", "objects", "MB", "last written", "why")
    for item in going:
        figures = str(item.objects), f"{item.bytes / 1e6:.1f}", item.newest[:10]
        table.add_row(item.kind, escape(item.name), *figures, escape(item.why))
    console.print(table)
