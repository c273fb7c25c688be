"""``quartet forget``: what it asks, and what it tells."""

from __future__ import annotations

import getpass
import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ml.context import Context
    from ml.exposure import Exposure
    from ml.forget import Plan

__all__ = ["forget"]

log = logging.getLogger(__name__)
console = Console()


def forget(
    images: Annotated[list[str], typer.Argument(help="Image ids, or 8 or more of their first digits.")],
    note: Annotated[str, typer.Option(help="Why; kept in the record.")],
    landing: Annotated[bool, typer.Option("--landing", help="Remove them from the landing zone, too.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be removed.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Forget images whose consent was withdrawn, and list the models that saw them."""
    from ml.context import Context
    from ml.forget import forget as carry_out
    from ml.forget import plan_forgetting

    context = Context.from_environment()
    plans = plan_forgetting(context, images)
    _show(plans)
    if not dry_run:
        if not yes:
            typer.confirm("Remove all of this for good?", abort=True)
        snapshot_id = carry_out(context, plans, note, getpass.getuser(), datetime.now(UTC), landing=landing)
        console.print(f"{len(plans)} image(s) are forgotten.")
        if snapshot_id is not None:
            console.print(f"Snapshot {snapshot_id} is published without them.", highlight=False)
            _describe(context, snapshot_id)
    _tell_landing(plans, removed=landing and not dry_run)
    _tell_models(plans)


def _show(plans: Sequence[Plan]) -> None:
    names = (
        "files",
        "feature shards",
        "pages",
        "warm-up requests",
        "tables of attributes",
        "requests",
        "in the landing zone",
    )
    table = Table("image", *names)
    for plan in plans:
        found = (plan.files, plan.shards, plan.pages, plan.warmups, plan.tables, plan.requests, plan.landing)
        numbers = [len(keys) for keys in found]
        table.add_row(", ".join(one[:12] for one in plan.picture.image_ids), *map(str, numbers))
    console.print(table)
    touched = (
        key for one in plans for key in (*one.files, *one.shards, *one.pages, *one.warmups, *one.tables, *one.requests)
    )
    for key in sorted(set(touched)):
        console.print(f"  {escape(key)}", highlight=False, soft_wrap=True)


def _tell_landing(plans: Sequence[Plan], *, removed: bool) -> None:
    from ml import layout

    keys = sorted({layout.printable(key) for plan in plans for key, _ in plan.landing})
    if keys and not removed:
        console.print("The landing zone still has them. Remove these objects there, or say --landing:")
        for key in keys:
            console.print(f"  {escape(key)}", highlight=False, soft_wrap=True)


def _tell_models(plans: Sequence[Plan]) -> None:
    rows = sorted({(plan.picture.image_ids[0], one) for plan in plans for one in plan.models}, key=_order)
    if not rows:
        console.print("No model saw them.")
        return
    table = Table("image", "run", "variant", "split", "published as", "in production")
    for image_id, one in rows:
        published = "" if one.version is None else f"version {one.version}"
        variant = one.variant or "nothing trained"
        cells = (image_id[:12], one.run_id, variant, one.split, published, "yes" if one.champion else "")
        table.add_row(*map(escape, cells))
    console.print(table)
    if any(one.split != "test" for _, one in rows):
        console.print(
            "The weights of models that saw an image in train or validation still carry what they learnt from it. "
            "The remedy is to retrain (`quartet retrain`, or the DAG Retrain) and to promote."
        )
    if any(one.split == "test" for _, one in rows):
        console.print("Models that saw an image in test were measured on it; they learnt nothing from it.")


def _order(row: tuple[str, Exposure]) -> tuple[str, str, str]:
    return row[0], row[1].run_id, row[1].variant or ""


def _describe(context: Context, snapshot_id: str) -> None:
    """The new snapshot's page; it is published whatever the expectations say of it."""
    from ml.errors import ValidationFailedError
    from ml.snapshots import Snapshot
    from ml.steps import describe, validate

    if not Snapshot(context.store, snapshot_id).record["images"]:
        console.print("It has no image left.")
        return
    describe.run(context, snapshot_id)
    try:
        validate.run(context, snapshot_id)
    except ValidationFailedError as error:
        log.warning("%s", error)
