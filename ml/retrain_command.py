"""``quartet retrain`` and ``quartet tune``: a run by hand, the same steps that the DAG calls."""

from __future__ import annotations

import getpass
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer
import yaml
from rich.console import Console

from ml.terminal import leaderboard_table, print_values, trials_table

if TYPE_CHECKING:
    from ml.context import Context
    from ml.run_settings import Asked

__all__ = ["retrain", "tune"]

console = Console()

Variants = Annotated[list[str] | None, typer.Option("--variant", help="Train this one; repeat for more; else all.")]
SnapshotId = Annotated[str | None, typer.Option(help="The newest published one by default.")]
TRAINING, GATE = "Training, for this run only; as configured by default", "Gate, for this run only; as configured"


class Weights(StrEnum):
    """Where the backbones' weights come from."""

    IMAGENET = "imagenet"
    RANDOM = "random"


class Imbalance(StrEnum):
    """What makes classes of unequal size count alike."""

    RANDOM_OVER = "random_over"
    CLASS_WEIGHT = "class_weight"
    NONE = "none"


def retrain(
    variant: Variants = None,
    snapshot_id: SnapshotId = None,
    trials: Annotated[int, typer.Option(min=0, help="Hyper-parameters to try for each head before.")] = 0,
    force: Annotated[bool, typer.Option("--force", help="Train even if nothing changed since an earlier run.")] = False,
    reason: Annotated[str, typer.Option(help="Why; kept with the run.")] = "",
    by: Annotated[str | None, typer.Option(help="Who asks for it; your user name by default.")] = None,
    attention: Annotated[
        bool | None, typer.Option("--with-attention/--without-attention", rich_help_panel=TRAINING)
    ] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="At most.", rich_help_panel=TRAINING)] = None,
    learning_rate: Annotated[float | None, typer.Option(rich_help_panel=TRAINING)] = None,
    weights: Annotated[Weights | None, typer.Option(help="Of the backbones.", rich_help_panel=TRAINING)] = None,
    imbalance: Annotated[
        Imbalance | None, typer.Option(help="For classes of unequal size.", rich_help_panel=TRAINING)
    ] = None,
    warm_start: Annotated[
        bool | None,
        typer.Option("--warm-start/--cold-start", help="From the champion's heads.", rich_help_panel=TRAINING),
    ] = None,
    min_macro_f1: Annotated[float | None, typer.Option(rich_help_panel=GATE)] = None,
    min_class_f1: Annotated[float | None, typer.Option(rich_help_panel=GATE)] = None,
    min_class_recall: Annotated[float | None, typer.Option(rich_help_panel=GATE)] = None,
    champion_margin: Annotated[float | None, typer.Option(rich_help_panel=GATE)] = None,
    champion_risk: Annotated[float | None, typer.Option(rich_help_panel=GATE)] = None,
    ask_approval: Annotated[
        bool, typer.Option("--ask-approval", help="Wait for a person before a promotion.", rich_help_panel=GATE)
    ] = False,
) -> None:
    """Train the variants, measure them, and promote the winner if the gate lets it.

    A run that would train what an earlier one has trained ends at once; --force trains all the same.
    """
    from ml.run_settings import Asked, choices_of
    from ml.steps import anything_changed, split

    choices = {
        "attention": attention,
        "epochs": epochs,
        "learning_rate": learning_rate,
        "weights": weights and weights.value,
        "imbalance": imbalance and imbalance.value,
        "warm_start": warm_start,
        "min_macro_f1": min_macro_f1,
        "min_class_f1": min_class_f1,
        "min_class_recall": min_class_recall,
        "champion_margin": champion_margin,
        "champion_risk": champion_risk,
        "approval": "ask" if ask_approval else None,
    }
    run_id, asked = _run_id(), Asked(choices_of(choices), trials, force, reason, by or getpass.getuser())
    context = _context()
    split.run(context, run_id, snapshot_id, variant, asked)
    context = context.for_run(run_id)
    found = anything_changed.run(context, run_id)
    if found["changed"]:
        _train_and_promote(context, run_id, asked)
    else:
        console.print(found["reason"], markup=False, highlight=False, soft_wrap=True)


def tune(
    variant: Variants = None,
    trials: Annotated[int, typer.Option(min=2, help="Hyper-parameters to try, the configured ones among them.")] = 9,
    snapshot_id: SnapshotId = None,
) -> None:
    """Search for a head's hyper-parameters on cached feature maps; print them as settings. Nothing is promoted."""
    from ml.steps import split
    from ml.steps import tune as step

    context, run_id = _context(), _run_id()
    plan = split.run(context, run_id, snapshot_id, variant)
    _extract(context, run_id)
    for name in plan["variants"]:
        found = step.run(context, run_id, name, trials)
        console.print(trials_table(name, found["trials"]))
        best = context.settings.train.model_dump(mode="json") | found["changes"]
        typer.echo(yaml.safe_dump({"train": best}, sort_keys=False), nl=False)


def _train_and_promote(context: Context, run_id: str, asked: Asked) -> None:
    from ml.plan import load_plan
    from ml.rollout import roll_out
    from ml.steps import approve, evaluate, examine, gate, report, review_labels, train
    from ml.steps import tune as search

    _extract(context, run_id)
    for name in load_plan(context.store, run_id)["variants"]:
        if asked.trials > 1:
            search.run(context, run_id, name, asked.trials)
        train.run(context, run_id, name)
    leaderboard = evaluate.run(context, run_id)
    examine.run(context, run_id)
    decision = gate.run(context, run_id)
    review_labels.run(context, run_id)
    request = approve.run(context, run_id, datetime.now(UTC))
    goes_on = decision["promoted"] and not request["waits"]
    served = roll_out(context, run_id)["reason"] if goes_on else "nothing changed"
    page = report.run(context, run_id, datetime.now(UTC))
    console.print(leaderboard_table(leaderboard))
    print_values(console, "Decision", {"reason": decision["reason"], "served": served, **page})
    if request["waits"]:
        console.print(f"{request['reason']} Look at the page, then: quartet approve {run_id} --by NAME")


def _extract(context: Context, run_id: str) -> None:
    """Bring the cache up to date for a run."""
    from ml.machine import claim_accelerator
    from ml.steps import extract, list_missing

    claim_accelerator()
    for part in list_missing.run(context, run_id):
        extract.run(context, run_id, part)


def _run_id() -> str:
    return f"cli-{datetime.now(UTC):%Y%m%dT%H%M%S}"


def _context() -> Context:
    from ml.context import Context

    return Context.from_environment()
