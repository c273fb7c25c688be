"""``quartet monitor``: one look at what serves, by hand."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

__all__ = ["monitor"]

console = Console()
MARKS = {"within": "[green]within[/]", "beyond": "[red]beyond[/]", "unknown": "not measured"}


def monitor(
    remember: Annotated[
        bool, typer.Option("--remember", help="Let the next look start from here, as the DAG's looks do.")
    ] = False,
    window_hours: Annotated[
        float | None, typer.Option(min=0.01, max=24 * 90, help="Of requests to look at for drift; else as configured.")
    ] = None,
) -> None:
    """Look at what serves: version, errors, latency, drift. Ends with status 1 when something is beyond its limit."""
    from ml.context import Context
    from ml.steps import check_serving, measure_drift, measure_traffic, report_monitoring

    context, now = Context.from_environment(), datetime.now(UTC)
    monitor_id = f"by-hand-{now:%Y%m%dT%H%M%S.%f}"
    for step in (check_serving, measure_traffic):
        step.run(context, monitor_id, now)
    measure_drift.run(context, monitor_id, now, window_hours)
    report = report_monitoring.run(context, monitor_id, now, by_hand=True)
    if remember:
        # Alerts are the DAG's: what it has not told, it still will.
        report_monitoring.remember(context, report | {"alert": False})
    table = Table("topic", "what", "measured", "required", "")
    for finding in report["findings"]:
        texts = (finding[name] for name in ("topic", "name", "measured", "required"))
        table.add_row(*map(escape, texts), MARKS[finding["status"]])
    console.print(table)
    console.print(f"{report['model_name']}, version {report['version'] or 'none yet'}. {report['retraining']}".strip())
    # Whole, so that it can be opened.
    console.print(report["page"], soft_wrap=True, highlight=False, markup=False)
    if report["beyond"]:
        raise typer.Exit(1)
