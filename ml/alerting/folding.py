"""The same cause is told once in a window of time, however many workers meet it.

What was told of a cause is an object in the store, changed by conditional writes only: of two workers at the same
moment one opens the window and sends, the other is counted. The next alert after the window says how many were counted.

An alert counts as told when a channel has taken it. Where none did, or the worker was killed on the way, the window is
open to the next one.
"""

from __future__ import annotations

import json
import logging
import random
import time
import uuid
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from ml import layout
from ml.alerting.cause import cause_digest
from ml.errors import AlreadyExistsError, ConflictError, NotFoundError
from ml.storage import dump_json

if TYPE_CHECKING:
    from ml.alerting.alert import Alert
    from ml.storage import Store

__all__ = ["KEPT", "SENDING", "Claim", "Untold", "Window", "claim_window", "close_window", "prune_windows"]

log = logging.getLogger(__name__)

#: More than all channels together may take; after it a worker that has not said how it went counts as killed.
SENDING = timedelta(minutes=5)
#: How long a cause is remembered after it was last met; longer than any window.
KEPT = timedelta(days=14)
#: Tries to write, of which each loses against another worker's.
TRIES = 20


class Untold(NamedTuple):
    """Alerts of one cause that reached nobody, and when the first of them was."""

    alerts: int
    since: datetime


@dataclass(frozen=True)
class Window:
    """What is remembered of a cause.

    Attributes:
        cause: for people who look; the key is a digest of it.
        opened_at: when its last alert was to be sent, in ISO 8601.
        owner: unique to the attempt that opened it.
        state: whether that alert has reached anybody.
        untold: alerts of the cause that reached nobody; the one that is being sent tells of those before it.
        untold_since: when the first of them was; None without any.
    """

    cause: tuple[str, ...]
    opened_at: str
    owner: str
    state: Literal["sending", "sent", "failed"] = "sending"
    untold: int = 0
    untold_since: str | None = None

    @classmethod
    def from_json(cls, data: bytes) -> Window:
        """From the store; ValueError, TypeError or KeyError where it is something else."""
        document: dict[str, Any] = json.loads(data)
        return cls(**document | {"cause": tuple(document["cause"])})

    def is_open(self, now: datetime, length: timedelta) -> bool:
        """Whether an alert at a time is folded; one from a clock that is far ahead keeps nobody silent for long."""
        lasts = {"sent": length, "sending": min(length, SENDING), "failed": timedelta(0)}[self.state]
        return abs(now - datetime.fromisoformat(self.opened_at)) < lasts

    def add(self, now: datetime) -> Window:
        """With one more alert that reaches nobody."""
        return replace(self, untold=self.untold + 1, untold_since=self.untold_since or now.isoformat())

    def reopen(self, now: datetime, owner: str) -> Window:
        """The next one, that takes over what was not told."""
        left = self if self.state == "sent" else self.add(datetime.fromisoformat(self.opened_at))
        return replace(left, opened_at=now.isoformat(), owner=owner, state="sending")

    def close(self, *, told: bool, reported: int) -> Window:
        """After sending: of what reached nobody the alert has reported so many."""
        if not told:
            return replace(self, state="failed")
        left = self.untold - reported
        return replace(self, state="sent", untold=left, untold_since=self.opened_at if left else None)


@dataclass(frozen=True)
class Claim:
    """The right to send an alert, and the duty to say how that went.

    Attributes:
        key: of the cause's window.
        owner: of this claim.
        untold: what the alert is to report beside itself; None for nothing.
    """

    key: str
    owner: str
    untold: Untold | None


def claim_window(store: Store, alert: Alert, length: timedelta) -> Claim | None:
    """Open a window for an alert's cause; None where one is open: the alert is counted there, and is not to be sent.

    Raises:
        StoreError: the store does not answer, or others keep being quicker.
    """
    key, owner = layout.alert_key(cause_digest(alert)), uuid.uuid4().hex
    for attempt in range(TRIES):
        found, etag = _read(store, key)
        if found is not None and found.owner == owner:
            # Written before; the answer to that was lost on the way.
            return Claim(key, owner, _untold(found))
        folded = found is not None and found.is_open(alert.at, length)
        following = _following(found, alert, owner, folded=folded)
        if _write(store, key, following, etag):
            return None if folded else Claim(key, owner, _untold(following))
        time.sleep(random.uniform(0, 0.01 * (attempt + 1)))  # noqa: S311 - no secret
    if folded:
        log.warning("%s: one more alert was folded, but not counted", store.uri(key))
        return None
    raise ConflictError(f"{store.uri(key)} keeps being changed by others.")


def close_window(store: Store, claim: Claim, *, told: bool) -> None:
    """Say whether the alert has reached anybody. Where another worker has taken over meanwhile, it is theirs to say.

    Raises:
        StoreError: the store does not answer, or others keep being quicker.
    """
    for _ in range(TRIES):
        found, etag = _read(store, claim.key)
        if found is None or found.owner != claim.owner or found.state != "sending":
            return
        if _write(store, claim.key, found.close(told=told, reported=claim.untold.alerts if claim.untold else 0), etag):
            return
    raise ConflictError(f"{store.uri(claim.key)} keeps being changed by others.")


def prune_windows(store: Store, now: datetime) -> None:
    """Forget causes that were not met for long.

    Raises:
        StoreError: the store does not answer.
    """
    for info in store.list(layout.ALERTS):
        if now - info.last_modified > KEPT:
            try:
                store.delete_if_match(info.key, info.etag)
            except ConflictError:
                continue  # met again at this moment


def _following(found: Window | None, alert: Alert, owner: str, *, folded: bool) -> Window:
    if found is None:
        return Window((alert.severity, *alert.cause), alert.at.isoformat(), owner)
    return found.add(alert.at) if folded else found.reopen(alert.at, owner)


def _untold(window: Window) -> Untold | None:
    return Untold(window.untold, datetime.fromisoformat(window.untold_since)) if window.untold_since else None


def _read(store: Store, key: str) -> tuple[Window | None, str | None]:
    try:
        data, etag = store.get_with_etag(key)
    except NotFoundError:
        return None, None
    try:
        return Window.from_json(data), etag
    except (ValueError, TypeError, KeyError) as error:
        log.warning("%s is no window of alerts and is written anew: %s", store.uri(key), error)
        return None, etag


def _write(store: Store, key: str, window: Window, etag: str | None) -> bool:
    """Whether the object was still as it was read."""
    try:
        if etag is None:
            store.put_if_absent(key, dump_json(asdict(window)))
        else:
            store.put_if_match(key, dump_json(asdict(window)), etag)
    except (AlreadyExistsError, ConflictError):
        return False
    return True
