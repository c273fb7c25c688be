from __future__ import annotations

import base64
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from html.parser import HTMLParser

import pandas as pd
import pytest

from ml.errors import DataError
from ml.report import (
    CandidateView,
    ClassRow,
    DecisionView,
    ExpectationView,
    Figure,
    LeaderboardRow,
    QuarantineRow,
    RuleView,
    RunPage,
    SnapshotPage,
    SplitCounts,
    render_run_report,
    render_snapshot_report,
    split_counts,
)

HOSTILE = "<script>alert('x')</script> & \"co\""
PNG = b"\x89PNG\r\n\x1a\nnot really"
NOTICE = "Backbones carry random, untrained weights."

LEADERBOARD = (
    LeaderboardRow("xception", 0.9421, 0.9386, 0.9372, 214.2, True, "imagenet"),
    LeaderboardRow("mobilenet", 0.9034, 0.8997, 0.8951, 41.3, False, "random"),
)
CHAMPION = LeaderboardRow("vgg16, version 6", 0.9213, 0.9171, 0.9164, 7322, False, "imagenet")
RUN = RunPage(
    model_name="brain-mri",
    run_id="run-17",
    created_at=datetime(2025, 6, 14, 3, 41, tzinfo=timezone(timedelta(hours=2))),
    snapshot_id="snapshot-9",
    snapshot_summary=(SplitCounts("glioma", 1400, 30, 21), SplitCounts(HOSTILE, 12, 3, 4)),
    leaderboard=LEADERBOARD,
    champion=CHAMPION,
    decision=DecisionView(True, "Better by 0.021.", (RuleView("Macro F1", False, "0.937", "at least 0.900"),), 7),
    candidates=(
        CandidateView(
            "xception", (ClassRow(HOSTILE, 0.911, 0.922, 0.933, 1044),), (Figure("Curves", PNG, "two curves"),)
        ),
    ),
    notices=(NOTICE,),
    settings_json='{"train": {"epochs": 20}}',
)
SNAPSHOT = SnapshotPage(
    snapshot_id="snapshot-9",
    parent="snapshot-8",
    created_at=datetime(2025, 6, 14, 3, 41, tzinfo=UTC),
    counts=RUN.snapshot_summary,
    quarantine=(QuarantineRow("truncated", 4), QuarantineRow("empty", 2)),
    validation=(ExpectationView("Enough images", "critical", False, "fewest: 3"),),
    figures=(Figure("Counts", PNG, "bars"),),
    notices=(NOTICE,),
)


class Outline(HTMLParser):
    """The page's text, and the problems of its tags."""

    VOID = frozenset({"meta", "img", "br"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.words: list[str] = []
        self.alts: list[str | None] = []
        self.feed(html)

    def handle_starttag(self, tag, attrs) -> None:
        if tag == "img":
            self.alts.append(dict(attrs).get("alt"))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data) -> None:
        if self.open and self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture(params=["run", "snapshot"])
def html(request: pytest.FixtureRequest) -> str:
    return render_run_report(RUN) if request.param == "run" else render_snapshot_report(SNAPSHOT)


def test_the_tags_are_balanced(html: str) -> None:
    assert Outline(html).open == []


def test_class_names_are_escaped(html: str) -> None:
    assert "<script" not in html
    assert HOSTILE in Outline(html).text


def test_nothing_is_loaded_from_elsewhere(html: str) -> None:
    assert not re.search(r"https?://|<link|<script|@import|url\(", html)
    assert all(source.startswith("data:image/png;base64,") for source in re.findall(r'src="([^"]+)"', html))


def test_notices_come_before_the_content(html: str) -> None:
    assert html.index(NOTICE) < html.index("<section")


def test_pictures_are_embedded_with_their_alternative_text(html: str) -> None:
    assert base64.b64encode(PNG).decode() in html
    assert all(Outline(html).alts)


def test_the_time_is_utc() -> None:
    assert "2025-06-14 01:41 UTC" in render_run_report(RUN)


def test_every_value_of_the_leaderboard_is_shown() -> None:
    text = Outline(render_run_report(RUN)).text
    for row in (*LEADERBOARD, CHAMPION):
        for value in (row.validation_macro_f1, row.accuracy, row.macro_f1):
            assert f"{value:.3f}" in text
        assert row.variant in text
    assert all(part in text for part in ("3 min 34 s", "41.3 s", "2 h 02 min", "random", "chosen", "in production"))


def test_a_promotion_names_its_version_reason_and_rules() -> None:
    text = Outline(render_run_report(RUN)).text
    assert all(part in text for part in ("Promoted as version 7", "Better by 0.021.", "at least 0.900", "✗ failed"))


def test_a_champion_is_shown_without_the_figure_that_chose_it() -> None:
    champion = replace(CHAMPION, validation_macro_f1=None)
    text = Outline(render_run_report(replace(RUN, champion=champion))).text
    assert "in production not measured" in text


def test_a_refusal_is_plain() -> None:
    html = render_run_report(replace(RUN, decision=DecisionView(False, "No rule is set."), champion=None))
    text = Outline(html).text
    assert "Not promoted No rule is set." in text
    assert "in production" not in text


def test_classes_are_totalled() -> None:
    assert "All classes 1,412 33 25 1,470" in Outline(render_run_report(RUN)).text


def test_the_settings_are_in_the_page() -> None:
    assert RUN.settings_json in Outline(render_run_report(RUN)).text


def test_an_empty_run_is_rendered() -> None:
    empty = replace(RUN, snapshot_summary=(), leaderboard=(), candidates=(), champion=None, notices=())
    html = render_run_report(empty)
    assert "No candidate finished" in html
    assert 'class="notice"' not in html


def test_the_snapshot_shows_quarantine_and_validation() -> None:
    text = Outline(render_snapshot_report(SNAPSHOT)).text
    assert all(part in text for part in ("truncated 4", "empty 2", "Refused objects 6", "snapshot-8"))
    assert "Enough images critical fewest: 3 ✗ failed" in text


def test_the_first_snapshot_has_no_parent() -> None:
    html = render_snapshot_report(replace(SNAPSHOT, parent=None, quarantine=(), validation=(), figures=(), counts=()))
    assert all(part in html for part in ("none, this is the first", "Nothing was refused", "has not been validated"))


def test_a_time_without_zone_is_refused() -> None:
    with pytest.raises(DataError, match="no time zone"):
        render_run_report(replace(RUN, created_at=datetime(2025, 1, 1)))  # noqa: DTZ001


def test_images_are_counted_by_class_and_split():
    manifest = pd.DataFrame({"label": list("aaab"), "split": ["train", "train", "test", "validation"]})

    assert split_counts(manifest, ("b", "a", "c")) == (
        SplitCounts("b", 0, 1, 0),
        SplitCounts("a", 2, 0, 1),
        SplitCounts("c", 0, 0, 0),
    )
