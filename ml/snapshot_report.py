"""The page of a snapshot: what was expected of it, what was found, and which images do not fit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ml.report import environment

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from ml.measures import Arrivals
    from ml.page_parts import SplitCounts
    from ml.quality import CheckResult
    from ml.report import Figure

__all__ = [
    "MAX_THUMBNAILS",
    "ExpectationView",
    "SnapshotPage",
    "Thumbnail",
    "TopicView",
    "render_snapshot_report",
    "shown_images",
    "topic_views",
]

#: Pictures under one expectation.
MAX_THUMBNAILS = 20
DRIFT = "Drift"


@dataclass(frozen=True)
class Thumbnail:
    """An image that is outside; ``jpeg`` is None when it cannot be shown."""

    image_id: str
    label: str
    jpeg: bytes | None


@dataclass(frozen=True)
class ExpectationView:
    """One expectation's outcome with the pictures of what is outside."""

    result: CheckResult
    thumbnails: tuple[Thumbnail, ...] = ()


@dataclass(frozen=True)
class TopicView:
    """Expectations under one heading."""

    name: str
    expectations: tuple[ExpectationView, ...]

    def count(self, status: str) -> int:
        """How many have this outcome."""
        return sum(view.result.status == status for view in self.expectations)


@dataclass(frozen=True)
class SnapshotPage:
    """All that the report of a snapshot shows.

    Attributes:
        snapshot_id: whose page it is.
        parent: the snapshot before it.
        created_at: when it was written.
        counts: images of each class in each split.
        now: counts of what arrived with it.
        overall: counts of everything seen.
        topics: the expectations.
        figures: what ``describe`` drew.
        notices: shown first.
        reason: why it was made, as whoever started the ingest said.
        asked_by: who that was.
        docs: relative address of Great Expectations' own pages, None when there are none.
    """

    snapshot_id: str
    parent: str | None
    created_at: datetime
    counts: tuple[SplitCounts, ...]
    now: Arrivals
    overall: Arrivals
    topics: tuple[TopicView, ...] = ()
    figures: tuple[Figure, ...] = ()
    notices: tuple[str, ...] = ()
    reason: str = ""
    asked_by: str = ""
    docs: str | None = None

    @property
    def drift(self) -> TopicView:
        """The measures against the parent and the champion."""
        return next((topic for topic in self.topics if topic.name == DRIFT), TopicView(DRIFT, ()))

    @property
    def outside(self) -> tuple[ExpectationView, ...]:
        """What is not met, critical first, then what is tolerated."""
        views = [
            view
            for topic in self.topics
            for view in topic.expectations
            if view.result.status == "failed" or view.result.offending_count
        ]
        return tuple(sorted(views, key=lambda view: (view.result.status != "failed", view.result.severity)))

    def count(self, status: str, severity: str | None = None) -> int:
        """How many expectations have this outcome, of one severity or both."""
        results = [view.result for topic in self.topics for view in topic.expectations]
        return sum(result.status == status and severity in {None, result.severity} for result in results)


def shown_images(results: Sequence[CheckResult]) -> list[str]:
    """The image ids whose pictures a page shows."""
    return [image_id for result in results if result.about == "images" for image_id in _first(result)]


def topic_views(
    results: Sequence[CheckResult], labels: Mapping[str, str], thumbnails: Mapping[str, bytes | None]
) -> tuple[TopicView, ...]:
    """Group outcomes by topic, in the order in which the topics come up.

    Args:
        results: of the suite.
        labels: by image id.
        thumbnails: of :func:`shown_images`.
    """
    topics = dict.fromkeys(result.topic for result in results)
    return tuple(
        TopicView(topic, tuple(_view(result, labels, thumbnails) for result in results if result.topic == topic))
        for topic in topics
    )


def render_snapshot_report(page: SnapshotPage) -> str:
    """The HTML page of a snapshot.

    Raises:
        DataError: ``created_at`` has no time zone.
    """
    return environment().get_template("snapshot.html.j2").render(page=page)


def _first(result: CheckResult) -> list[str]:
    """Each image once: a duplicated id stands for several rows."""
    return list(dict.fromkeys(result.offending))[:MAX_THUMBNAILS]


def _view(result: CheckResult, labels: Mapping[str, str], thumbnails: Mapping[str, bytes | None]) -> ExpectationView:
    shown = _first(result) if result.about == "images" else []
    return ExpectationView(
        result,
        tuple(Thumbnail(image_id, labels.get(image_id, "unknown"), thumbnails.get(image_id)) for image_id in shown),
    )
