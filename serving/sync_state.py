"""What a sync has seen and done, for its health page and its metrics."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ml.serving_state import ServingState
from serving.served_config import ServedConfig

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["SyncState"]


@dataclass(frozen=True)
class SyncState:
    """Of the last look.

    Attributes:
        record: number of the newest record of what serves; 0 before the first.
        wanted: what it says.
        told: what the server's config file says.
        available: what the server can answer with; None when it does not say.
        labels: versions by label, as the server answers for them.
        failed: why versions could not be mirrored, by version.
        at: when, in seconds since 1970; 0 before the first look.
        attempted_at: of the last look that was begun, whether it succeeded or not.
        error: why nothing could be brought up to date; empty when it could.
    """

    record: int = 0
    wanted: ServingState = field(default_factory=ServingState)
    told: ServedConfig = field(default_factory=ServedConfig)
    available: frozenset[int] | None = None
    labels: Mapping[str, int] = field(default_factory=dict)
    failed: Mapping[int, str] = field(default_factory=dict)
    at: float = 0.0
    attempted_at: float = 0.0
    error: str = ""

    def failing(self, error: str) -> SyncState:
        """The same, after a look that failed: what was known stays known."""
        return replace(self, error=error, attempted_at=time.time())

    @property
    def settled(self) -> bool:
        """Whether the server serves what is wanted, under the labels that are wanted."""
        return not self.error and dict(self.labels) == self.wanted.labels

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "settled": self.settled,
            "record": self.record,
            "wanted": self.wanted.to_dict(),
            "told": dict(self.told.labels),
            "labels": dict(self.labels),
            "available": None if self.available is None else sorted(self.available),
            "failed": {str(version): reason for version, reason in self.failed.items()},
            "error": self.error,
            "looked_at": self.at,
        }
