"""What the Models page shows of each run, in a small record of its own.

A run's folder holds a hundred objects: listing them for hundreds of runs would take minutes. These records can be
listed and read by themselves, and are written again by whatever writes the run's page again.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ml import layout
from ml.candidates import load_candidate
from ml.errors import DataError, NotFoundError
from ml.leaderboard import interval_of, row_of
from ml.records import write_pack
from ml.run_outcome import load_outcome
from ml.storage import dump_json, read_json

if TYPE_CHECKING:
    from ml.page_parts import Interval
    from ml.run_outcome import RunOutcome
    from ml.storage import Store

__all__ = ["RunSummary", "pack_records", "summarise", "write_summary"]


@dataclass(frozen=True)
class RunSummary:
    """A decided run in short.

    Attributes:
        run_id: as Airflow spells it.
        snapshot_id: that it trained on.
        decided_at: when the gate decided, in ISO 8601.
        variant: its winner.
        weights: where the winner's backbones' weights come from.
        macro_f1: the winner's, on the run's test split.
        macro_f1_interval: 95 %; None where that cannot be had.
        accuracy: likewise.
        accuracy_interval: likewise.
        cleared: whether the gate let the winner pass.
        reason: in a sentence.
        compared: the version in production that the gate compared the winner with; None for none.
        sound: whether the winner's figures say anything.
        waits: whether a person's answer was waited for.
        published: the version that the winner was published as.
        taken_back: whether the watch went back to the version before.
        held_back: why the winner was not promoted, as far as the run itself tells.
    """

    run_id: str
    snapshot_id: str
    decided_at: str
    variant: str
    weights: str
    macro_f1: float
    macro_f1_interval: Interval
    accuracy: float
    accuracy_interval: Interval
    cleared: bool
    reason: str
    compared: int | None
    sound: bool
    waits: bool
    published: int | None
    taken_back: bool
    held_back: str

    @classmethod
    def from_dict(cls, document: Any, source: str) -> RunSummary:
        """From JSON.

        Args:
            document: as :meth:`to_dict` gives it.
            source: where it was read, for the error.

        Raises:
            DataError: it is something else.
        """
        try:
            intervals = {name: interval_of(document[name]) for name in INTERVALS}
            summary = cls(**{**document, **intervals})
            datetime.fromisoformat(summary.decided_at)
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"{source} is no summary of a run: {type(error).__name__}: {error}.",
                "Run the task `report` of that run again, which writes it.",
            ) from error
        return summary

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)

    @property
    def at(self) -> datetime:
        """When the gate decided."""
        return datetime.fromisoformat(self.decided_at)


INTERVALS = ("macro_f1_interval", "accuracy_interval")


def write_summary(store: Store, model_name: str, run_id: str) -> RunSummary:
    """Summarise a decided run as it is now, and keep that.

    Raises:
        NotFoundError: the gate has not decided.
    """
    summary = summarise(store, run_id, load_outcome(store, run_id))
    store.put(layout.run_summary_key(model_name, run_id), dump_json(summary.to_dict()))
    return summary


def summarise(store: Store, run_id: str, outcome: RunOutcome) -> RunSummary:
    """A run in short, from what its steps left.

    The decision has no date of its own; that of its object stays when a page is written again years later.
    """
    key = layout.run_key(run_id, layout.DECISION)
    decision = store.head(key)
    if decision is None:
        raise NotFoundError(f"There is no object {store.uri(key)}.")
    winner = row_of(read_json(store, layout.run_key(run_id, "evaluation.json")), outcome.variant)
    intervals = winner["metrics"]["intervals"]
    return RunSummary(
        run_id=run_id,
        snapshot_id=load_candidate(store, run_id, outcome.variant).snapshot_id,
        decided_at=decision.last_modified.isoformat(),
        variant=outcome.variant,
        weights=winner["weights"],
        macro_f1=winner["macro_f1"],
        macro_f1_interval=interval_of(intervals["macro_f1"]),
        accuracy=winner["accuracy"],
        accuracy_interval=interval_of(intervals["accuracy"]),
        cleared=outcome.cleared,
        reason=outcome.decided.document["reason"],
        compared=outcome.decided.document["champion"],
        sound=outcome.sound,
        waits=outcome.waits,
        published=outcome.published,
        taken_back=outcome.taken_back,
        held_back=outcome.held_back,
    )


def pack_records(store: Store, model_name: str) -> None:
    """Put the summaries, and the records of what serves, into one object each for whoever reads all of them."""
    for prefix in (layout.run_summary_key(model_name, ""), f"{layout.PROMOTIONS}{model_name}/"):
        write_pack(store, prefix)
