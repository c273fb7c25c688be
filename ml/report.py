"""Reports: the self-contained HTML page of a run, and what it shares with the page of a snapshot.

The pages load nothing: styles are inline and pictures are data URIs, so that they can be mailed, archived and printed.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from ml.errors import DataError
from ml.splits import count_by_split
from ml.templating import make_environment
from ml.wording import short_id

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pandas as pd
    from jinja2 import Environment

    from ml.label_report import LabelsView
    from ml.run_views import ConfounderView, ExaminationView, SlicesView

__all__ = [
    "CANDIDATE_FIGURES",
    "EXAMINATION_FIGURES",
    "SNAPSHOT_FIGURES",
    "WIDE_FIGURES",
    "WRITING",
    "AblationView",
    "CandidateView",
    "ClassRow",
    "DecisionView",
    "Figure",
    "LeaderboardRow",
    "MemberView",
    "RuleView",
    "RunPage",
    "SplitCounts",
    "environment",
    "render_run_report",
    "split_counts",
]

#: The pictures of a page: file name, caption, and what it shows to those who cannot see it.
SNAPSHOT_FIGURES = (
    ("classes.png", "Images of each class", "Bars: images of each class, by split"),
    ("shares.png", "Shares of the classes", "Pie chart: share of each class in all images"),
    ("samples.png", "Samples", "A grid of sample images, one row a class"),
)
CANDIDATE_FIGURES = (
    (
        "curves.png",
        "Learning curves",
        "Accuracy and loss on training and validation images, macro F1 on validation images, by epoch",
    ),
    ("confusion.png", "Confusion matrix", "True against predicted classes on the test split, counts and shares"),
    ("report.png", "Classification report", "Precision, recall, F1 and support of each class on the test split"),
    (
        "class_curves.png",
        "ROC and precision-recall curves",
        "Curves of each class against all others, with the areas below them",
    ),
    (
        "reliability.png",
        "Reliability",
        "How often the likeliest class is the true one, by its probability, before and after temperature scaling",
    ),
    (
        "attention.png",
        "Attention and evidence",
        "Test images, and the same images under the head's attention and under Grad-CAM's evidence for the answer",
    ),
)
EXAMINATION_FIGURES = (
    ("changes.png", "Changed images", "Macro F1 on harmed images, and the share of answers that stay, by change"),
    (
        "faithfulness.png",
        "Faithfulness of the overlays",
        "Probability of the answer while the pixels that an overlay marks go, and while they come",
    ),
)


#: Those that half a page would make illegible.
WIDE_FIGURES = frozenset({"attention.png"})

#: The 95 % interval of a figure; None where that is not known.
Interval = tuple[float, float] | None


class SplitCounts(NamedTuple):
    """Images of one class in each split."""

    label: str
    train: int
    validation: int
    test: int


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
class LeaderboardRow:
    """One candidate. ``validation_macro_f1`` chose among them; the others are measured on the test split.

    The champion was chosen in an earlier run: it has no ``validation_macro_f1`` here, and its ``seconds`` and latency
    are that run's. ``kind`` is said beside the name: ``ablation``, ``ensemble`` or nothing. ``latency_ms`` are the
    median and the 95th percentile for one image.
    """

    variant: str
    validation_macro_f1: float | None
    accuracy: float
    macro_f1: float
    seconds: float
    chosen: bool
    weights: str
    kind: str = ""
    latency_ms: tuple[float, float] | None = None
    macro_f1_interval: Interval = None
    accuracy_interval: Interval = None
    calibration_error: float | None = None
    temperature: float | None = None


@dataclass(frozen=True)
class RuleView:
    """One rule of the gate, with what was measured, what it asks for, and what is missing to that."""

    name: str
    passed: bool
    measured: str
    required: str
    missing: str = ""


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
        "data_uri": _data_uri,
        "duration": _duration,
        "jpeg_uri": _jpeg_uri,
        "short_id": short_id,
    }
    return make_environment({**WRITING, **pages})


def _data_uri(data: bytes) -> str:
    kind = "webp" if data.startswith(b"RIFF") else "png"
    return f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"


def _jpeg_uri(jpeg: bytes) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode('ascii')}"


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def _difference(value: float) -> str:
    """Signed, with a true minus; what rounds to nothing has no sign."""
    text = f"{value:+.3f}"
    return "0.000" if text.lstrip("+-") == "0.000" else text.replace("-", "\N{MINUS SIGN}")


def _milliseconds(value: float) -> str:
    return f"{value:.0f} ms" if value >= 100 else f"{value:.1f} ms"


def _number(value: int) -> str:
    return f"{value:,}"


def _score(value: float) -> str:
    return f"{value:.3f}"


def _utc(moment: datetime) -> str:
    if moment.tzinfo is None:
        raise DataError(f"The report's time {moment.isoformat()} has no time zone.", "Pass an aware datetime.")
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


#: How pages and cards write numbers and times, by the filter's name.
WRITING: dict[str, Callable[[Any], str]] = {
    "difference": _difference,
    "milliseconds": _milliseconds,
    "number": _number,
    "score": _score,
    "utc": _utc,
}
