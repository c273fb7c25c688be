"""What people are told of a promotion: the record of it, and the figures it rests on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ml import layout
from ml.approval import Answer
from ml.orders import Order
from ml.promotions import champion_of, load_changes
from ml.storage import find_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ml.promotions import Champion, Change
    from ml.storage import Store

__all__ = ["Promoted", "describe_promotion"]

UNKNOWN = "not known: the run's evaluation is gone"


@dataclass(frozen=True)
class Promoted:
    """A promotion in words.

    Attributes:
        change: its record.
        macro_f1: of the version, on the run's test images.
        before: the champion that it took the place of, and how that did on the same images.
        has_before: whether there was one.
        decided_by: the gate, or the person who approved, or promoted it by a decision of their own.
    """

    change: Change
    macro_f1: str
    before: str
    has_before: bool
    decided_by: str


def describe_promotion(store: Store, model_name: str, number: int) -> Promoted | None:
    """Describe the promotion of a number of the record; None where its version is not the stable one any more.

    Raises:
        StoreError: the store does not answer.
    """
    changes = load_changes(store, model_name)
    change = changes[number - 1]
    if changes[-1].serving.stable != change.version:
        return None
    run = _Run(store, change.run_id)
    champion = champion_of(changes[: number - 1])
    row = next((one for one in run.evaluation.get("leaderboard", ()) if one["variant"] == change.variant), None)
    return Promoted(
        change,
        macro_f1=UNKNOWN if row is None else _score(row["macro_f1"], _interval(row["metrics"])),
        before=_before(champion, run),
        has_before=champion is not None,
        decided_by=_decided_by(change),
    )


class _Run:
    """What a run has left of its evaluation and its decision; empty where that is gone."""

    def __init__(self, store: Store, run_id: str) -> None:
        self.evaluation = find_json(store, layout.run_key(run_id, "evaluation.json")) or {}
        self.decision = find_json(store, layout.run_key(run_id, layout.DECISION)) or {}


def _before(champion: Champion | None, run: _Run) -> str:
    if champion is None:
        return "none: it is the first"
    words = f"version {champion.version}, {champion.variant}"
    row = run.evaluation.get("champion")
    if not row or row["version"] != champion.version:
        return words
    words += f": macro F1 {_score(row['macro_f1'], _interval(row['metrics']))}"
    compared = run.decision.get("comparison")
    if not compared or run.decision["champion"] != champion.version or not compared["difference_interval"]:
        return words
    low, high = compared["difference_interval"]
    difference = compared["challenger"] - compared["champion"]
    return (
        f"{words}; difference {difference:+.4f} (95 % interval {low:+.4f} to {high:+.4f}), on {compared['images']:,} "
        f"test images that version {champion.version} was not trained on"
    )


def _interval(metrics: Mapping[str, Any]) -> Sequence[float] | None:
    found: Sequence[float] | None = metrics.get("intervals", {}).get("macro_f1")
    return found


def _score(value: float, interval: Sequence[float] | None) -> str:
    return f"{value:.4f}" + (f" (95 % interval {interval[0]:.4f} to {interval[1]:.4f})" if interval else "")


def _decided_by(change: Change) -> str:
    """A person's own decision says more than the approval that may have gone before."""
    order, approval = (change.evidence.get(name) for name in ("order", "approval"))
    if order:
        return str(Order.from_dict(order))
    if approval:
        return str(Answer(**{name: value for name, value in approval.items() if name != "timed_out"}))
    return change.by
