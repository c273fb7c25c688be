"""What a model server says of itself: the versions that it has, and which one it means by a label."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ml.serving_state import CANARY, STABLE
from serving.client import GrpcClient, InvalidRequestError, ModelNotFoundError
from serving.served_config import ServerView

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from serving.client import VersionStatus

__all__ = ["Look", "look_at"]


@dataclass(frozen=True)
class Look:
    """What it said.

    Attributes:
        versions: all that it tells of, from the highest to the lowest.
        labels: versions by label; not those that it does not know.
    """

    versions: tuple[VersionStatus, ...] = ()
    labels: Mapping[str, int] = field(default_factory=dict)

    @property
    def view(self) -> ServerView:
        """What of it decides on the next config file."""
        return ServerView(frozenset(one.version for one in self.versions if one.state == "AVAILABLE"), self.labels)


def look_at(client: GrpcClient) -> Look:
    """Ask; a server that knows no such model has nothing of it, which is an answer.

    Raises:
        CallError: it does not answer.
    """
    try:
        return Look(tuple(client.status()), dict(_labels(client)))
    except ModelNotFoundError:
        return Look()


def _labels(client: GrpcClient) -> Iterator[tuple[str, int]]:
    for label in (STABLE, CANARY):
        # An unknown label, or one whose version is not loaded yet, is no label.
        with suppress(InvalidRequestError, ModelNotFoundError):
            yield label, client.metadata(label=label).version
