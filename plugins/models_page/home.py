"""The widget on Airflow's Home page: the champion in four figures."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ml.writing import WRITING
from plugins.models_page.render import ago

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ml.overview.views import Headline

__all__ = ["HomeFact", "headline_facts"]


class HomeFact(NamedTuple):
    """A figure with its name, and what is to be said below it."""

    name: str
    value: str
    note: str = ""


def headline_facts(headline: Headline) -> Iterator[HomeFact]:
    """What people want to know at a glance."""
    score, champion, served = WRITING["score"], headline.champion, headline.served
    if champion.version is None:
        yield HomeFact("Champion", "none yet", champion.problem)
    else:
        yield HomeFact("Champion", f"version {champion.version}", champion.variant)
        assert champion.age is not None
        yield HomeFact("Age", ago(champion.age), f"since {WRITING['utc'](champion.since)}")
    if champion.score is not None:
        ends = champion.score.macro_f1_interval
        between = f"{score(ends[0])} to {score(ends[1])}" if ends else ""
        yield HomeFact("Macro F1", score(champion.score.macro_f1), between)
    if headline.run is not None:
        yield HomeFact(
            "Last decision", headline.run.outcome, f"{headline.run.variant}, {WRITING['utc'](headline.run.at)}"
        )
    state = "as on record" if served.agrees else "not as on record" if served.agrees is False else "not known"
    yield HomeFact("Served", state, served.verdict)
    if headline.problem:
        yield HomeFact("Problem", "some of it cannot be read", headline.problem)
