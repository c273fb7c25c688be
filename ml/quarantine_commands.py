"""``quartet quarantine``: what was refused, why, and how it comes out again."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ml.terminal import print_values

__all__ = ["quarantine"]

quarantine = typer.Typer(no_args_is_help=True, help="Look into quarantine, and release from it.")
console = Console()


@quarantine.command("list")
def list_quarantine(
    reason: Annotated[str | None, typer.Option(help="Only what is refused for this reason.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Show so many objects at most.")] = 50,
) -> None:
    """List the objects that the newest snapshot refuses."""
    from ml.context import Context
    from ml.quarantine import refused_objects

    refused = refused_objects(Context.from_environment().store, reason)
    for name, count in refused["reason"].value_counts().items():
        console.print(f"{count} {name}", highlight=False)
    if refused.empty:
        console.print("Nothing is in quarantine.")
        return
    table = Table("key", "reason", "bytes", "SHA-256")
    for row in refused.head(limit).itertuples():
        table.add_row(escape(str(row.source_key)), str(row.reason), str(row.bytes), str(row.image_id)[:12])
    console.print(table)
    if len(refused) > limit:
        console.print(f"and {len(refused) - limit} more: --limit, --reason")


@quarantine.command("show")
def show_quarantined(
    name: Annotated[str, typer.Argument(help="A key, or the first digits of a SHA-256.")],
) -> None:
    """Tell why an object was refused, and where its bytes are."""
    from ml.context import Context
    from ml.quarantine import find_refused, refused_objects, show_refused

    store = Context.from_environment().store
    for row in find_refused(refused_objects(store), name).to_dict("records"):
        print_values(console, "Quarantined object", show_refused(store, row)._asdict())


@quarantine.command()
def release(
    note: Annotated[str, typer.Option(help="Why; kept in the record of the release.")],
    names: Annotated[list[str] | None, typer.Argument(help="Keys, or first digits of SHA-256s.")] = None,
    reason: Annotated[str | None, typer.Option(help="All objects that are refused for this reason.")] = None,
    label: Annotated[str | None, typer.Option(help="Their label from now on.")] = None,
) -> None:
    """Have the next ingest look at refused objects again, after a fix of the settings or with the right label."""
    import getpass

    import pandas as pd

    from ml.context import Context
    from ml.errors import ConfigError
    from ml.labels import Labeller
    from ml.quarantine import find_refused, refused_objects
    from ml.releases import release_objects

    if bool(names) == bool(reason):
        raise ConfigError("What is to be released is not clear.", "Give either names or --reason.")
    context = Context.from_environment()
    refused = refused_objects(context.store, reason)
    rows = pd.concat([find_refused(refused, name) for name in names]).drop_duplicates() if names else refused
    labeller = Labeller(context.settings)
    release_id = release_objects(context.store, rows, labeller, label, note, getpass.getuser(), datetime.now(UTC))
    console.print(f"{len(rows)} object(s) will be looked at again by the next ingest (release {release_id}).")
