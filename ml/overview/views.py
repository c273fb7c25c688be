"""The data of the Models page, as frozen values that are ready to be written down.

Every part may carry a ``problem``: why it, or some of it, could not be read, in words. What could be read is there
all the same. Tuples are ordered as they are to be shown, and times have a time zone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from ml.page_parts import Interval, LeaderboardRow, RuleView, SplitCounts
    from ml.promotions import Action
    from ml.snapshot_summaries import Verdict

__all__ = [
    "ChampionView",
    "ChangeView",
    "ChoicesView",
    "ConfusionView",
    "DataView",
    "FigureFile",
    "GateView",
    "Headline",
    "HistoryView",
    "LatestRunView",
    "Overview",
    "PicturesView",
    "Point",
    "PromotableRun",
    "RollbackChoice",
    "RunRow",
    "Score",
    "ServedView",
    "SnapshotRow",
    "VersionState",
    "WaitingRun",
]


class Score(NamedTuple):
    """How good a candidate is on its run's test split, from 0 to 1, with 95 % intervals."""

    macro_f1: float
    macro_f1_interval: Interval
    accuracy: float
    accuracy_interval: Interval


@dataclass(frozen=True)
class ChampionView:
    """What the record says serves.

    Attributes:
        version: the model server's number; None before the first promotion.
        variant: the candidate's name in its run.
        run_id: that made it.
        snapshot_id: that it was trained on.
        since: when it became the stable version, the last time that it did.
        age: since then.
        by: who made it that.
        reason: why.
        action: how: a promotion or a rollback.
        score: as its own run measured it; None where that cannot be read.
        weights: where its backbones' weights come from, ``imagenet`` or ``random``; empty where that is not known.
        weights_notice: a sentence, where they are random.
        previous: the version that is kept loaded for a rollback.
        canary: the version that is on trial beside it.
        problem: what could not be read.
    """

    version: int | None = None
    variant: str = ""
    run_id: str = ""
    snapshot_id: str = ""
    since: datetime | None = None
    age: timedelta | None = None
    by: str = ""
    reason: str = ""
    action: Action | None = None
    score: Score | None = None
    weights: str = ""
    weights_notice: str = ""
    previous: int | None = None
    canary: int | None = None
    problem: str = ""


class VersionState(NamedTuple):
    """A version as the model server sees it: ``state`` is TensorFlow Serving's word, e.g. ``AVAILABLE``."""

    version: int
    state: str
    error: str = ""


@dataclass(frozen=True)
class ServedView:
    """What the model server says of itself, now.

    Attributes:
        address: that was asked.
        answers: whether it did; one that knows no such model does.
        versions: all that it tells of, from the highest to the lowest.
        labels: (label, version) for each label that it answers for.
        agrees: whether it serves what the record says; None where it does not answer or the record cannot be read.
        verdict: that in one sentence, or why it does not answer.
        milliseconds: that it took to ask.
    """

    address: str
    answers: bool = False
    versions: tuple[VersionState, ...] = ()
    labels: tuple[tuple[str, int], ...] = ()
    agrees: bool | None = None
    verdict: str = ""
    milliseconds: float = 0.0

    @property
    def available(self) -> tuple[int, ...]:
        """The versions that it can answer with, from the highest to the lowest."""
        return tuple(one.version for one in self.versions if one.state == "AVAILABLE")


@dataclass(frozen=True)
class GateView:
    """What the gate decided on a run, and what became of it.

    Attributes:
        cleared: whether the rules let the winner pass.
        reason: in a sentence.
        rules: one by one.
        approval: what a person said to it, or that somebody is waited for; empty where nobody was asked.
        waits: whether a person's answer is waited for.
        published: the version that the winner was published as, promoted or not.
        promoted: the version that it was promoted as.
        taken_back: whether that was undone by the watch.
        stages: a person's own decision to promote it, trial and watch, in sentences.
        outcome: what became of the winner, in a sentence.
    """

    cleared: bool
    reason: str
    rules: tuple[RuleView, ...] = ()
    approval: str = ""
    waits: bool = False
    published: int | None = None
    promoted: int | None = None
    taken_back: bool = False
    stages: tuple[str, ...] = ()
    outcome: str = ""


@dataclass(frozen=True)
class LatestRunView:
    """The run of `retrain` that was decided on last; ``run_id`` is empty where there is none.

    Attributes:
        run_id: as Airflow spells it.
        snapshot_id: that it trained on.
        at: when the gate decided.
        leaderboard: its candidates, the winner first.
        champion: the champion of that time, measured on the same test images.
        champion_version: of that one.
        gate: what was decided; None where that cannot be read.
        problem: what could not be read.
    """

    run_id: str = ""
    snapshot_id: str = ""
    at: datetime | None = None
    leaderboard: tuple[LeaderboardRow, ...] = ()
    champion: LeaderboardRow | None = None
    champion_version: int | None = None
    gate: GateView | None = None
    problem: str = ""


@dataclass(frozen=True)
class ChangeView:
    """One record of what serves; ``stable``, ``canary`` and ``previous`` are what serves from then on.

    ``macro_f1`` is that of the version's candidate in its own run; None where it is not known.
    """

    number: int
    action: Action
    version: int
    variant: str
    run_id: str
    snapshot_id: str
    by: str
    reason: str
    at: datetime
    stable: int | None
    canary: int | None
    previous: int | None
    macro_f1: float | None = None
    macro_f1_interval: Interval = None


class Point(NamedTuple):
    """A moment at which the stable version changed, for the time line; ``version`` is the stable one from then on."""

    at: datetime
    version: int
    action: Action
    run_id: str
    variant: str
    macro_f1: float | None
    macro_f1_interval: Interval


@dataclass(frozen=True)
class RunRow:
    """A run of `retrain` in short.

    Attributes:
        run_id: as Airflow spells it.
        at: when the gate decided.
        snapshot_id: that it trained on.
        variant: its winner.
        score: the winner's.
        weights: where the winner's backbones' weights come from.
        cleared: whether the gate let the winner pass.
        promoted: the version that it was promoted as; None where it was not.
        serves: whether that is the stable version now.
        outcome: what became of the winner, in a sentence: as which version it was promoted, or why not.
        removed: whether its files were removed by retention.
    """

    run_id: str
    at: datetime
    snapshot_id: str
    variant: str
    score: Score
    weights: str
    cleared: bool
    promoted: int | None
    serves: bool
    outcome: str
    removed: bool = False


@dataclass(frozen=True)
class HistoryView:
    """What served, and what was trained.

    Attributes:
        changes: every record of what serves, the newest first.
        points: changes of the stable version, the oldest first.
        runs: the newest first, 500 at most.
        problem: what could not be read.
    """

    changes: tuple[ChangeView, ...] = ()
    points: tuple[Point, ...] = ()
    runs: tuple[RunRow, ...] = ()
    problem: str = ""


class FigureFile(NamedTuple):
    """A picture in the store, with its caption and the text for those who cannot see it; wide ones want a row each."""

    key: str
    title: str
    alt: str
    wide: bool

    @property
    def name(self) -> str:
        """Its file name, e.g. ``confusion.png``."""
        return self.key.rpartition("/")[2]


@dataclass(frozen=True)
class ConfusionView:
    """Images of the test split by their class (rows) and by the answer (columns), in the order of ``classes``.

    ``intervals`` are of the shares of a row's images: [row][column].
    """

    classes: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    intervals: tuple[tuple[Interval, ...], ...]


@dataclass(frozen=True)
class PicturesView:
    """The champion's pictures, from its own run; ``run_id`` is empty where there is no champion.

    Attributes:
        run_id: the champion's run.
        variant: the champion's name there.
        figures: those that are in the store.
        removed: titles of those that were drawn and are gone, as when an image on them was forgotten.
        confusion: None where it cannot be read.
        problem: what could not be read.
    """

    run_id: str = ""
    variant: str = ""
    figures: tuple[FigureFile, ...] = ()
    removed: tuple[str, ...] = ()
    confusion: ConfusionView | None = None
    problem: str = ""


@dataclass(frozen=True)
class SnapshotRow:
    """A snapshot.

    Attributes:
        snapshot_id: its id.
        parent: the one that it grew from.
        at: when it was made.
        images: in it.
        added: that its parent had not.
        counts: images of each class in each split; empty where it was not validated, or before that was kept.
        excluded: images that are in no split.
        published: whether it is the newest published one, or an ancestor of that.
        newest: whether it is the newest published one.
        validation: what the expectations said of it; ``unknown`` where it was not held against them.
        checks: how many there were.
        warnings: expectations that were not met and only warn, each with what was found, in words.
        critical: likewise those that keep it from being published.
        has_report: whether its page was written; `quartet forget` removes one that shows a forgotten image.
        has_data_docs: whether Great Expectations' own pages were.
        notes: what was odd when it was made, in sentences.
        problem: why nothing else is known of it.
    """

    snapshot_id: str
    parent: str | None = None
    at: datetime | None = None
    images: int = 0
    added: int = 0
    counts: tuple[SplitCounts, ...] = ()
    excluded: int = 0
    published: bool = False
    newest: bool = False
    validation: Verdict = "unknown"
    checks: int = 0
    warnings: tuple[str, ...] = ()
    critical: tuple[str, ...] = ()
    has_report: bool = False
    has_data_docs: bool = False
    notes: tuple[str, ...] = ()
    problem: str = ""


@dataclass(frozen=True)
class DataView:
    """The newest snapshots and the quarantine.

    Attributes:
        published: the newest published snapshot; empty where there is none.
        snapshots: the newest first, ten at most, also such as failed the expectations.
        seen: objects that were ever seen, by the newest published snapshot.
        quarantined: of them, those in quarantine.
        quarantine: (reason, objects), the most frequent first.
        problem: what could not be read.
    """

    published: str = ""
    snapshots: tuple[SnapshotRow, ...] = ()
    seen: int = 0
    quarantined: int = 0
    quarantine: tuple[tuple[str, int], ...] = ()
    problem: str = ""


class WaitingRun(NamedTuple):
    """A run whose cleared winner waits for a person's approval."""

    run_id: str
    variant: str
    macro_f1: float
    asked_at: datetime


class PromotableRun(NamedTuple):
    """A past run whose winner was never promoted.

    ``why`` says why it was not, and ``cleared`` whether the gate let it pass. ``against_the_gate`` has to be confirmed
    by whoever promotes it: the gate rejected it, or compared it with another champion than today's.
    """

    run_id: str
    variant: str
    at: datetime
    macro_f1: float
    macro_f1_interval: Interval
    cleared: bool
    why: str
    against_the_gate: bool


class RollbackChoice(NamedTuple):
    """A version that can be made the stable one again.

    ``default`` is the one that a rollback without a version goes to; ``ends_trial`` the stable version itself, which
    can be named while another is on trial and ends that.
    """

    version: int
    variant: str
    run_id: str
    macro_f1: float | None
    default: bool
    ends_trial: bool = False


@dataclass(frozen=True)
class ChoicesView:
    """What the forms offer.

    Attributes:
        waiting: runs that wait for a person.
        promotable: past runs whose winner could be promoted, the newest first, 50 at most. Whether all that it is made
            of is still there is found out when it is promoted.
        rollbacks: versions that can be gone back to, the default first.
        problem: what could not be read.
    """

    waiting: tuple[WaitingRun, ...] = ()
    promotable: tuple[PromotableRun, ...] = ()
    rollbacks: tuple[RollbackChoice, ...] = ()
    problem: str = ""


@dataclass(frozen=True)
class Overview:
    """All that the Models page shows, as it was at a moment."""

    model_name: str
    at: datetime
    champion: ChampionView
    served: ServedView
    latest: LatestRunView = field(default_factory=LatestRunView)
    history: HistoryView = field(default_factory=HistoryView)
    pictures: PicturesView = field(default_factory=PicturesView)
    data: DataView = field(default_factory=DataView)
    choices: ChoicesView = field(default_factory=ChoicesView)

    @property
    def problems(self) -> tuple[str, ...]:
        """What could not be read of any part."""
        parts = (self.champion, self.latest, self.history, self.pictures, self.data, self.choices)
        return tuple(dict.fromkeys(part.problem for part in parts if part.problem))


@dataclass(frozen=True)
class Headline:
    """What the widget on the Home page shows.

    Attributes:
        model_name: of the model.
        at: the moment.
        champion: what the record says serves.
        served: what the model server says.
        run: the run that was decided on last; None where there is none.
        problem: what could not be read.
    """

    model_name: str
    at: datetime
    champion: ChampionView
    served: ServedView
    run: RunRow | None = None
    problem: str = ""
