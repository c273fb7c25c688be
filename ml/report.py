"""Reports: the self-contained HTML page of a run, and what it shares with the page of a snapshot.

The pages load nothing: styles are inline and pictures are data URIs, so that they can be mailed, archived and printed.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from ml.page_parts import SplitCounts
from ml.splits import count_by_split
from ml.templating import make_environment
from ml.wording import short_id
from ml.writing import WRITING, data_uri, duration

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    import pandas as pd
    from jinja2 import Environment

    from ml.label_report import LabelsView
    from ml.page_parts import Interval, LeaderboardRow, RuleView
    from ml.run_views import ConfounderView, ExaminationView, SlicesView

__all__ = [
    "AblationView",
    "CandidateView",
    "ClassRow",
    "DecisionView",
    "Figure",
    "MemberView",
    "RunPage",
    "environment",
    "render_run_report",
    "split_counts",
]


def split_counts(manifest: pd.DataFrame, classes: tuple[str, ...]) -> tuple[SplitCounts, ...]:
    """Count a manifest's images of each class in each split, in the order of ``classes``."""
    table = count_by_split(manifest["label"], manifest["split"], classes)
    return tuple(SplitCounts(str(label), *(int(count) for count in row)) for label, row in table.iterrows())


@dataclass(frozen=True)
class Figure:
    """A PNG or WebP with its caption and the text for those who cannot see it; a wide one has a row of its own."""

    title: str
    data: bytes
    alt: str
    wide: bool = False


@dataclass(frozen=True)
class ClassRow:
    """How well one class is found on the test split; scores from 0 to 1, their 95 % intervals by their names."""

    label: str
    precision: float
    recall: float
    f1: float
    support: int
    roc_auc: float | None = None
    average_precision: float | None = None
    intervals: Mapping[str, Interval] = field(default_factory=dict)


@dataclass(frozen=True)
class DecisionView:
    """What the gate decided, what a person said to it, and how the version did at the model servers.

    ``version`` is the model server's number, None when nothing was promoted; ``stages`` are sentences. ``order`` is a
    person's own decision to promote the winner, which may go against the gate's.
    """

    promoted: bool
    reason: str
    rules: tuple[RuleView, ...] = ()
    version: int | None = None
    approval: str = ""
    stages: tuple[str, ...] = ()
    order: str = ""
    against_the_gate: bool = False


class MemberView(NamedTuple):
    """A member of an ensemble, and the share of the vote that it has."""

    variant: str
    weight: float


@dataclass(frozen=True)
class CandidateView:
    """The details of one candidate; ``members`` are those of an ensemble."""

    variant: str
    report: tuple[ClassRow, ...] = ()
    figures: tuple[Figure, ...] = ()
    kind: str = ""
    members: tuple[MemberView, ...] = ()
    slices: SlicesView | None = None


class AblationView(NamedTuple):
    """Macro F1 on the test split of a variant's heads with and without attention."""

    variant: str
    attention: float
    ablation: float

    @property
    def difference(self) -> float:
        """What attention adds."""
        return self.attention - self.ablation


@dataclass(frozen=True)
class RunPage:
    """All that the report of a run shows.

    ``champion`` is the model in production, measured on the same test split; ``summary`` says in a few sentences what
    was trained on what.
    """

    model_name: str
    run_id: str
    created_at: datetime
    snapshot_id: str
    snapshot_summary: tuple[SplitCounts, ...]
    leaderboard: tuple[LeaderboardRow, ...]
    decision: DecisionView
    champion: LeaderboardRow | None = None
    candidates: tuple[CandidateView, ...] = ()
    ablations: tuple[AblationView, ...] = ()
    examination: ExaminationView | None = None
    confounders: tuple[ConfounderView, ...] = ()
    summary: str = ""
    notices: tuple[str, ...] = ()
    labels: LabelsView | None = None
    settings_json: str = "{}"


def render_run_report(page: RunPage) -> str:
    """The HTML page of a run.

    Raises:
        DataError: ``created_at`` has no time zone.
    """
    return environment().get_template("run.html.j2").render(page=page)


@cache
def environment() -> Environment:
    """Jinja with the pages' templates and filters."""
    pages: dict[str, Callable[[Any], str]] = {
        "data_uri": data_uri,
        "duration": duration,
        "jpeg_uri": _jpeg_uri,
        "short_id": short_id,
    }
    return make_environment({**WRITING, **pages})


def _jpeg_uri(jpeg: bytes) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode('ascii')}"
