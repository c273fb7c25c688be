"""The part of a run's page that shows which labels people should look at again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from ml import layout
from ml.errors import NotFoundError
from ml.plan import load_samples
from ml.storage import read_json
from ml.thumbnails import load_thumbnails

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ml.storage import Store

__all__ = ["REVIEW", "LabelIssueView", "LabelsView", "load_labels_view"]

#: In a run's folder: what became of the look at its labels, and the images that its page shows.
REVIEW = "label_issues.json"


class LabelIssueView(NamedTuple):
    """A doubtful label with its picture; ``jpeg`` is None when that cannot be shown."""

    image_id: str
    split: str
    label: str
    suggested: str
    label_probability: float
    suggested_probability: float
    jpeg: bytes | None


@dataclass(frozen=True)
class LabelsView:
    """What became of a look at all labels.

    Attributes:
        count: doubtful labels.
        images: that were looked at.
        missing: images without a cached feature map.
        unjudged: images that nothing could be held against.
        variant: whose feature maps were looked at.
        weights: where that variant's weights come from.
        reason: why nothing was looked at, else None.
        issues: the most doubtful ones, without images that were forgotten since.
    """

    count: int
    images: int
    missing: int
    unjudged: int
    variant: str
    weights: str
    reason: str | None = None
    issues: tuple[LabelIssueView, ...] = ()


def load_labels_view(store: Store, run_id: str) -> LabelsView | None:
    """Read what `review_labels` found, with pictures; None for a run without it."""
    try:
        review: dict[str, Any] = read_json(store, layout.run_key(run_id, REVIEW))
    except NotFoundError:
        return None
    numbers = {name: review[name] for name in ("count", "images", "missing", "unjudged")}
    return LabelsView(
        **numbers,
        variant=review["variant"],
        weights=review["weights"],
        reason=review["reason"],
        issues=_issues(store, run_id, review) if review["issues"] else (),
    )


def _issues(store: Store, run_id: str, review: Mapping[str, Any]) -> tuple[LabelIssueView, ...]:
    samples = load_samples(store, run_id)
    uris = dict(zip(samples["image_id"], samples["uri"], strict=True))
    kept = [issue for issue in review["issues"] if issue["image_id"] in uris]
    pictures = load_thumbnails(store, uris, (issue["image_id"] for issue in kept))
    return tuple(LabelIssueView(**issue, jpeg=pictures[issue["image_id"]]) for issue in kept)
