"""The append-only record of what serves: every canary, promotion, withdrawal and rollback, with who decided and why.

A record's number is one more than that of the record before, and is claimed with a conditional write: of two that are
appended at the same moment one wins, and the other finds out. Each holds the whole serving state after it, so that the
newest one alone says what shall serve; there is no pointer beside it that could be of another opinion.
"""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from ml import layout
from ml.errors import AlreadyExistsError, ConflictError, DataError, NotFoundError
from ml.serving_state import ServingState
from ml.storage import dump_json, read_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ml.storage import Store

__all__ = [
    "Action",
    "Champion",
    "Change",
    "append_change",
    "champion_of",
    "change_after",
    "find_champion",
    "load_changes",
    "newest_change",
    "parse_change",
    "promotion_of",
    "rollback_target",
    "served_at",
]

log = logging.getLogger(__name__)

Action = Literal["canary", "promote", "rollback", "withdraw"]


class Champion(NamedTuple):
    """The version in production, and the candidate behind it, by its run and its name there."""

    version: int
    run_id: str
    variant: str


@dataclass(frozen=True)
class Change:
    """One record.

    Attributes:
        number: from 1, without gaps.
        action: what was done.
        version: with which version.
        serving: what shall serve from then on.
        run_id: the retrain run that made the version.
        variant: its winner, which the version is.
        snapshot_id: what it was trained on.
        by: who decided: a person, or the part of the pipeline that did.
        reason: why, for people.
        at: when, in ISO 8601.
        evidence: what the decision rests on: figures, and SHA-256 of objects by key.
    """

    number: int
    action: Action
    version: int
    serving: ServingState
    run_id: str
    variant: str
    snapshot_id: str
    by: str
    reason: str
    at: str
    evidence: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Change:
        """From JSON."""
        return cls(**{**document, "serving": ServingState.from_dict(document["serving"])})

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)

    @property
    def when(self) -> datetime:
        """When it was made."""
        return datetime.fromisoformat(self.at)


def load_changes(store: Store, model_name: str) -> list[Change]:
    """All records of a model, the oldest first."""
    return [_read(store, info.key) for info in store.list(f"{layout.PROMOTIONS}{model_name}/")]


def newest_change(store: Store, model_name: str) -> Change | None:
    """The record that says what shall serve; None before the first."""
    keys = [info.key for info in store.list(f"{layout.PROMOTIONS}{model_name}/")]
    return _read(store, keys[-1]) if keys else None


def change_after(store: Store, model_name: str, number: int) -> Change | None:
    """The record after the one of a number, None while there is none: one request, however long the record is."""
    try:
        return _read(store, layout.promotion_key(model_name, number + 1))
    except NotFoundError:
        return None


def append_change(store: Store, model_name: str, change: Change) -> Change:
    """Append a record.

    Args:
        store: that holds the records.
        model_name: of the model.
        change: whose number is one more than that of the record it was decided on.

    Raises:
        ConflictError: somebody else appended one meanwhile.
    """
    key, data = layout.promotion_key(model_name, change.number), dump_json(change.to_dict())
    try:
        store.put_if_absent(key, data)
    except AlreadyExistsError as error:
        # The answer to an earlier try may have been lost on the way.
        if store.get(key) != data:
            raise ConflictError(
                f"{store.uri(key)} was written by somebody else at the same moment.",
                "Look at `quartet history`, and try again.",
            ) from error
    serves = change.serving.labels or "nothing"
    log.info(
        "record %d: %s version %d, %s now serves: %s", change.number, change.action, change.version, model_name, serves
    )
    return change


def find_champion(store: Store, model_name: str) -> Champion | None:
    """What is in production now; None before the first promotion."""
    return champion_of(load_changes(store, model_name))


def champion_of(changes: Sequence[Change]) -> Champion | None:
    """The stable version of the newest record, with its candidate."""
    stable = changes[-1].serving.stable if changes else None
    found = next((change for change in changes if change.version == stable), None)
    return Champion(found.version, found.run_id, found.variant) if found else None


def parse_change(document: Any, uri: str) -> Change:
    """A record from JSON that was read at a place.

    Raises:
        DataError: it is something else.
    """
    try:
        change = Change.from_dict(document)
        datetime.fromisoformat(change.at)
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(uri, error) from error
    return change


def promotion_of(changes: Sequence[Change], run_id: str, variant: str) -> Change | None:
    """The record that made a run's winner the champion; None where it was not promoted."""
    return next(
        (one for one in changes if one.action == "promote" and (one.run_id, one.variant) == (run_id, variant)), None
    )


def served_at(changes: Sequence[Change], when: datetime) -> Change | None:
    """The record that was in force at a time; None before the first."""
    return next((change for change in reversed(changes) if change.when <= when), None)


def rollback_target(changes: Sequence[Change], below: int | None) -> int | None:
    """The stable version to go back to: the last one lower than ``below`` that was not itself rolled back from.

    None of them is tried again unless it was made stable anew since.
    """
    left: set[int] = set()
    order: list[int] = []
    for before, change in zip([None, *changes], changes, strict=False):
        stable, was = change.serving.stable, before.serving.stable if before else None
        if stable is None or stable == was:
            continue
        if change.action == "rollback" and was is not None:
            left.add(was)
        left.discard(stable)
        order.append(stable)
    return next((one for one in reversed(order) if one not in left and (below is None or one < below)), None)


def _read(store: Store, key: str) -> Change:
    uri = store.uri(key)
    try:
        return parse_change(read_json(store, key), uri)
    except ValueError as error:
        raise _damaged(uri, error) from error


def _damaged(uri: str, error: Exception) -> DataError:
    return DataError(
        f"{uri} is no record of a promotion: {type(error).__name__}: {error}.",
        "Restore it from a backup of the store; nothing else says what served.",
    )
