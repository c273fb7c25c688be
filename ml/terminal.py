"""What people see in a terminal: errors with their remedy, and the tables of a run and a search."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table

from ml.errors import QuartetError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from rich.console import Console

__all__ = ["leaderboard_table", "print_values", "run_app", "trials_table"]


def run_app(app: Callable[[], object], errors: Console) -> None:
    """Run a command line; an error that a person can mend ends with status 1 and the remedy on standard error."""
    try:
        app()
    except QuartetError as error:
        errors.print(f"[bold red]{type(error).__name__}:[/] {escape(error.message)}", soft_wrap=True, highlight=False)
        if error.remedy:
            errors.print(f"[bold]Remedy:[/] {escape(error.remedy)}", soft_wrap=True, highlight=False)
        raise SystemExit(1) from error


def print_values(console: Console, title: str, values: Mapping[str, Any]) -> None:
    """A titled table of two columns."""
    table = Table(title=title, title_justify="left", show_header=False)
    for name, value in values.items():
        table.add_row(name, escape(str(value)))
    console.print(table)


def trials_table(variant: str, trials: Sequence[Mapping[str, Any]]) -> Table:
    """The trials of a search, best first."""
    table = Table(
        "trial", "epochs", "validation macro F1", "changes", title=f"Trials of {variant}", title_justify="left"
    )
    for trial in trials:
        changes = ", ".join(f"{name} {value}" for name, value in trial["changes"].items())
        score = f"{trial['val_macro_f1']:.4f}"
        table.add_row(str(trial["number"]), str(trial["epochs"]), score, changes or "as configured")
    return table


def leaderboard_table(evaluation: Mapping[str, Any]) -> Table:
    """The candidates of a run, best first, and the champion they were measured beside."""
    # In two lines, so that all of it fits into 80 columns.
    table = Table("variant", "validation\nmacro F1", "accuracy", "macro\nF1", "ms an\nimage", "seconds", "weights")
    for row in evaluation["leaderboard"]:
        mark = "* " if row["variant"] == evaluation["chosen"] else "  "
        table.add_row(
            mark + row["variant"] + (" (ablation)" if row["ablation_of"] else ""),
            f"{row['validation_macro_f1']:.4f}",
            f"{row['accuracy']:.4f}",
            f"{row['macro_f1']:.4f}",
            _milliseconds(row),
            f"{row['seconds']:.1f}",
            row["weights"],
        )
    champion = evaluation.get("champion")
    if champion:
        table.add_row(
            f"  {champion['variant']} (version {champion['version']}, in production)",
            "",
            f"{champion['accuracy']:.4f}",
            f"{champion['macro_f1']:.4f}",
            _milliseconds(champion),
            "",
            champion["weights"],
        )
    return table


def _milliseconds(row: Mapping[str, Any]) -> str:
    return "" if row["latency_ms_p50"] is None else f"{row['latency_ms_p50']:.1f}"
