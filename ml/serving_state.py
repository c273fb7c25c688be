"""Which versions shall serve under which label, and how a change of that looks."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from ml.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["CANARY", "STABLE", "ServingState"]

#: Version labels at the model server.
STABLE, CANARY = "stable", "canary"


@dataclass(frozen=True)
class ServingState:
    """What the model servers shall serve.

    Outside a canary phase the stable version is the highest one, so that requests without a label reach it too: a
    server answers these with the highest version that it has loaded.

    Attributes:
        stable: the champion's version; None before the first promotion.
        canary: a version on trial.
        previous: the stable version of before, lower than ``stable`` and kept loaded, so that a rollback is quick.
    """

    stable: int | None = None
    canary: int | None = None
    previous: int | None = None

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> ServingState:
        """From JSON."""
        return cls(document["stable"], document["canary"], document["previous"])

    def to_dict(self) -> dict[str, int | None]:
        """As JSON has it."""
        return asdict(self)

    @property
    def versions(self) -> frozenset[int]:
        """All that shall be loaded."""
        return frozenset(version for version in (self.stable, self.canary, self.previous) if version is not None)

    @property
    def labels(self) -> dict[str, int]:
        """Versions by label."""
        named = {STABLE: self.stable, CANARY: self.canary}
        return {label: version for label, version in named.items() if version is not None}

    def begin_canary(self, version: int) -> ServingState:
        """Put a version on trial, in place of any other."""
        return replace(self, canary=version)

    def withdraw(self, version: int) -> ServingState:
        """End a version's trial; it was on none, when another has taken its place."""
        return replace(self, canary=None) if self.canary == version else self

    def promote(self, version: int) -> ServingState:
        """Make a version the stable one; what was stable is kept for a rollback."""
        if version == self.stable:
            return self.withdraw(version)
        below = self.stable if self.stable is not None and self.stable < version else None
        return ServingState(version, None if self.canary == version else self.canary, below)

    def roll_back(self, version: int, previous: int | None) -> ServingState:
        """Go back to a version, and end any trial.

        Args:
            version: to serve.
            previous: the one that a further rollback would go to.

        Raises:
            DataError: it serves already.
        """
        if version == self.stable:
            raise DataError(f"Version {version} is what serves now.", "Name another version.")
        return ServingState(version, None, previous)
