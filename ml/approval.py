"""A person's word on a decision of the gate: what was asked, and who answered what."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from ml import layout
from ml.errors import AlreadyExistsError, ConflictError, DataError, NotFoundError
from ml.storage import dump_json, find_json

if TYPE_CHECKING:
    from ml.storage import Store

__all__ = [
    "Answer",
    "Approval",
    "Decided",
    "answer_approval",
    "ask_approval",
    "find_approval",
    "load_decision",
    "require_cleared",
    "waits_for_answer",
]


class Decided(NamedTuple):
    """The gate's decision on a run, and the SHA-256 of its bytes."""

    document: dict[str, Any]
    sha256: str


@dataclass(frozen=True)
class Answer:
    """What was answered, by whom and when.

    Attributes:
        approved: whether the winner may be promoted.
        at: when, in ISO 8601.
        by: the person's name; None when nobody answered in time.
        by_id: the person's id in Airflow.
        through: where it was answered; Airflow knows who somebody is, the command line believes it.
    """

    approved: bool
    at: str
    by: str | None = None
    by_id: str | None = None
    through: Literal["Airflow", "command line"] = "Airflow"

    @property
    def timed_out(self) -> bool:
        """Whether nobody answered in time."""
        return self.by is None

    def __str__(self) -> str:
        """As a page tells it."""
        if self.timed_out:
            return f"Rejected on {_minute(self.at)}: nobody answered in time."
        known = self.by_id if self.by_id != self.by else None
        who = f"{self.by} (id {known})" if known else self.by
        where = " on the command line" if self.through == "command line" else ""
        return f"{'Approved' if self.approved else 'Rejected'} by {who}{where} on {_minute(self.at)}."


@dataclass(frozen=True)
class Approval:
    """A request for approval of one decision, and its answer once there is one.

    Attributes:
        run_id: the run.
        variant: its winner.
        decision_sha256: of the bytes of the ``decision.json`` that was asked about.
        asked_at: when, in ISO 8601.
        answer: None while nobody has answered.
    """

    run_id: str
    variant: str
    decision_sha256: str
    asked_at: str
    answer: Answer | None = None

    @property
    def approved(self) -> bool:
        """Whether somebody has approved."""
        return self.answer is not None and self.answer.approved

    @classmethod
    def from_dict(cls, record: dict[str, Any]) -> Approval:
        """From JSON."""
        answer = {name: value for name, value in (record["answer"] or {}).items() if name != "timed_out"}
        return cls(**record | {"answer": Answer(**answer) if answer else None})

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        record = asdict(self)
        if self.answer is not None:
            record["answer"]["timed_out"] = self.answer.timed_out
        return record

    def __str__(self) -> str:
        """As a page tells it."""
        return str(self.answer) if self.answer else f"Waits for approval since {_minute(self.asked_at)}."


def load_decision(store: Store, run_id: str) -> Decided:
    """What the gate decided on a run."""
    data = store.get(layout.run_key(run_id, layout.DECISION))
    return Decided(json.loads(data), hashlib.sha256(data).hexdigest())


def require_cleared(run_id: str, decided: Decided) -> None:
    """Refuse what the gate rejected.

    Raises:
        DataError: it did.
    """
    if not decided.document["promoted"]:
        reason = decided.document["reason"]
        raise DataError(
            f"Run {run_id} was not cleared: {reason}",
            "Retrain, change `gate` and retrain, or promote it against the gate, with a reason on record.",
        )


def find_approval(store: Store, run_id: str, decided: Decided) -> Approval | None:
    """The request for approval of exactly this decision; None where there is none, or only of an earlier one."""
    approval = _newest(store, run_id)
    return approval if approval and approval.decision_sha256 == decided.sha256 else None


def waits_for_answer(store: Store, run_id: str) -> bool:
    """Whether a run has asked for approval, and nobody has answered."""
    approval = _newest(store, run_id)
    return approval is not None and approval.answer is None


def _newest(store: Store, run_id: str) -> Approval | None:
    document = find_json(store, layout.run_key(run_id, layout.APPROVAL))
    return Approval.from_dict(document) if document is not None else None


def ask_approval(store: Store, run_id: str, decided: Decided, now: datetime) -> Approval:
    """Record that approval of a decision is asked for, in place of any request but one that was approved meanwhile."""
    key = layout.run_key(run_id, layout.APPROVAL)
    approval = Approval(run_id, decided.document["variant"], decided.sha256, now.isoformat())
    try:
        try:
            data, etag = store.get_with_etag(key)
        except NotFoundError:
            store.put_if_absent(key, dump_json(approval.to_dict()))
            return approval
        found = Approval.from_dict(json.loads(data))
        if found.approved and found.decision_sha256 == decided.sha256:
            return found
        store.put_if_match(key, dump_json(approval.to_dict()), etag)
    except (AlreadyExistsError, ConflictError):  # somebody asked or answered between reading and writing
        return ask_approval(store, run_id, decided, now)
    return approval


def answer_approval(store: Store, run_id: str, answer: Answer) -> Approval:
    """Record the answer to what was asked last; the first one counts, and is returned."""
    key = layout.run_key(run_id, layout.APPROVAL)
    data, etag = store.get_with_etag(key)
    approval = Approval.from_dict(json.loads(data))
    if approval.answer is None:
        approval = replace(approval, answer=answer)
        try:
            store.put_if_match(key, dump_json(approval.to_dict()), etag)
        except ConflictError:  # somebody else answers at the same moment
            return answer_approval(store, run_id, answer)
    return approval


def _minute(at: str) -> str:
    return f"{datetime.fromisoformat(at):%Y-%m-%d at %H:%M %Z}"
