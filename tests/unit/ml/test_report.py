from __future__ import annotations

import base64
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from html.parser import HTMLParser

import pandas as pd
import pytest

from ml.errors import DataError
from ml.label_report import LabelIssueView, LabelsView
from ml.measures import Arrivals
from ml.page_parts import LeaderboardRow, RuleView, SplitCounts
from ml.quality import CheckResult
from ml.report import (
    AblationView,
    CandidateView,
    ClassRow,
    DecisionView,
    Figure,
    MemberView,
    RunPage,
    render_run_report,
    split_counts,
)
from ml.snapshot_report import SnapshotPage, render_snapshot_report, shown_images, topic_views

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
JPEG = b"\xff\xd8not really"
IDS = tuple(f"{number:064x}" for number in range(25))
WIDTHS = CheckResult(
    "The images", "Width", "at least 32", "25 outside", "pixels", "critical", "failed", IDS, 250, "images"
)
TOLERATED = replace(
    WIDTHS, title="Sharpness", severity="warning", status="passed", offending=IDS[:1], offending_count=1
)
UNMEASURED = CheckResult("Drift", "Labels", "at most 0.25", "no parent", "an index", "warning", "not measured")
SHARE = CheckResult("Classes", "Share", "at most 90 %", "95 %", "share", "warning", "failed", ("a",), 1, "classes")
RESULTS = (WIDTHS, TOLERATED, UNMEASURED, SHARE)
SNAPSHOT = SnapshotPage(
    snapshot_id="snapshot-9",
    parent="snapshot-8",
    created_at=datetime(2025, 6, 14, 3, 41, tzinfo=UTC),
    counts=RUN.snapshot_summary,
    now=Arrivals(30, 20, 5, 2, {"truncated": 4}),
    overall=Arrivals(1300, 1211, 13, 12, {"empty": 2, "truncated": 74}),
    topics=topic_views(RESULTS, {IDS[0]: HOSTILE}, dict.fromkeys(IDS[1:], JPEG) | {IDS[0]: None}),
    figures=(Figure("Counts", PNG, "bars"),),
    notices=(NOTICE,),
    docs="gx/index.html",
)
NO_ARRIVALS = Arrivals(0, 0, 0, 0, {})


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
    assert all(source.startswith("data:image/") for source in re.findall(r'src="([^"]+)"', html))


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


def test_intervals_stand_below_their_figures() -> None:
    rows = (
        replace(LEADERBOARD[0], macro_f1_interval=[0.921, 0.9514], accuracy_interval=[0.922, 0.953]),
        *LEADERBOARD[1:],
    )
    line = ClassRow(
        "cat", 0.9, 0.8, 0.85, 40, 0.95, None, {"precision": [0.811, 0.987], "recall": None, "f1": [0.777, 0.899]}
    )
    page = replace(RUN, leaderboard=rows, candidates=(CandidateView("xception", (line,)),))

    text = Outline(render_run_report(page)).text

    assert "0.937 0.921 to 0.951 0.939 0.922 to 0.953" in text
    assert "0.900 0.811 to 0.987 0.800 0.850 0.777 to 0.899 0.950 not measured 40" in text


def test_a_missed_rule_says_what_was_missing() -> None:
    rule = RuleView("Macro F1", False, "0.6810", "at least 0.7", "0.0190 short")
    text = Outline(render_run_report(replace(RUN, decision=DecisionView(False, "Rejected.", (rule,))))).text

    assert "Macro F1 0.6810 0.0190 short at least 0.7" in text


def test_a_promotion_names_its_version_reason_and_rules() -> None:
    text = Outline(render_run_report(RUN)).text
    assert all(part in text for part in ("Promoted as version 7", "Better by 0.021.", "at least 0.900", "✗ failed"))


def test_a_champion_is_shown_without_the_figure_that_chose_it() -> None:
    champion = replace(CHAMPION, validation_macro_f1=None)
    text = Outline(render_run_report(replace(RUN, champion=champion))).text
    assert "in production not measured" in text


def test_what_kind_of_candidate_it_is_is_said_beside_its_name() -> None:
    ablation = replace(LEADERBOARD[1], variant="mobilenet-no-attention", kind="ablation")
    champion = replace(CHAMPION, variant="ensemble", kind="ensemble")
    text = Outline(render_run_report(replace(RUN, leaderboard=(LEADERBOARD[0], ablation), champion=champion))).text
    assert "mobilenet-no-attention ablation" in text
    assert "ensemble in production" in text
    assert "xception chosen" in text


def test_latency_is_shown_with_its_median_and_its_95th_percentile() -> None:
    rows = (replace(LEADERBOARD[0], latency_ms=(123.4, 234.6)), replace(LEADERBOARD[1], latency_ms=(7.04, 9.96)))
    text = Outline(render_run_report(replace(RUN, leaderboard=rows))).text
    assert "123 ms 95 %: 235 ms" in text
    assert "7.0 ms 95 %: 10.0 ms" in text


def test_a_page_without_ablations_says_nothing_of_them() -> None:
    assert "What attention is worth" not in render_run_report(RUN)


def test_what_attention_is_worth_is_said_in_one_line_and_by_variant() -> None:
    ablations = (AblationView("xception", 0.937, 0.921), AblationView("vgg16", 0.8, 0.812), AblationView("a", 0.5, 0.5))
    text = Outline(render_run_report(replace(RUN, ablations=ablations))).text
    assert "On the 25 test images attention changes macro F1 by +0.001 on average" in text
    assert "xception 0.937 0.921 +0.016" in text
    assert "vgg16 0.800 0.812 \N{MINUS SIGN}0.012" in text
    assert "a 0.500 0.500 0.000" in text


def test_what_attention_is_worth_for_one_variant_is_no_average() -> None:
    text = Outline(render_run_report(replace(RUN, ablations=(AblationView("xception", 0.937, 0.921),)))).text
    assert "changes macro F1 by +0.016, against heads" in text


def test_an_ensemble_names_its_members_and_how_it_was_scored() -> None:
    view = CandidateView(
        "ensemble", kind="ensemble", members=(MemberView("vgg16", 0.625), MemberView("xception", 0.375))
    )
    row = replace(LEADERBOARD[0], variant="ensemble", kind="ensemble")
    text = Outline(render_run_report(replace(RUN, leaderboard=(row,), candidates=(view,)))).text
    assert "vgg16 62 %, xception 38 %." in text
    assert "fitted without the images they are scored on" in text
    assert "fitted without" not in Outline(render_run_report(RUN)).text


def test_doubtful_labels_are_shown_with_what_is_suggested_and_where_they_are_corrected() -> None:
    issues = (
        LabelIssueView(IDS[0], "test", HOSTILE, "glioma", 0.0314, 0.9412, JPEG),
        LabelIssueView(IDS[1], "train", "glioma", HOSTILE, 0.2, 0.7, None),
    )
    view = LabelsView(1234, 5505, 3, 0, "vgg16", "imagenet", None, issues)

    html = render_run_report(replace(RUN, labels=view))
    outline = Outline(html)

    assert "1,234 of 5,505 images look more like those of another label" in outline.text
    assert f"000000000000… {HOSTILE} 0.031 → glioma 0.941 test" in outline.text
    assert f"no picture 000000000000… glioma 0.200 → {HOSTILE} 0.700 train" in outline.text
    assert "2 of 1,234 are shown, and label_issues.csv beside this page has them all" in outline.text
    assert "Not looked at: 3 without a cached feature map." in outline.text
    assert "Nothing is changed by itself" in outline.text
    assert "landing/labels.csv" in outline.text
    assert "weights are random" not in outline.text
    assert outline.open == []
    assert "<script" not in html
    assert f"Image 000000000000…, labelled {HOSTILE}, perhaps glioma" in outline.alts


def test_labels_of_random_backbones_are_shown_with_a_caution() -> None:
    view = LabelsView(0, 300, 0, 0, "vgg16", "random")
    text = Outline(render_run_report(replace(RUN, labels=view))).text
    assert "The backbone's weights are random" in text
    assert "Not looked at" not in text
    assert "are shown" not in text


def test_labels_that_were_not_looked_at_have_the_reason_and_no_numbers() -> None:
    view = LabelsView(0, 0, 0, 0, "vgg16", "imagenet", "review.label_issues_shown is 0")
    text = Outline(render_run_report(replace(RUN, labels=view))).text
    assert "No labels were looked at: review.label_issues_shown is 0." in text
    assert "0 of 0" not in text


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


def text_of(page: SnapshotPage) -> str:
    return Outline(render_snapshot_report(page)).text


def only(*results: CheckResult) -> SnapshotPage:
    return replace(SNAPSHOT, topics=topic_views(results, {}, {}))


def test_the_snapshot_shows_what_arrived_and_quarantine_by_reason() -> None:
    text = text_of(SNAPSHOT)
    for row in ("Accepted images 20 1,211", "of these in no split 2 12", "Duplicates of accepted images 5 13"):
        assert row in text
    assert all(row in text for row in ("Quarantined 4 76", "Objects seen 30 1,300", "empty 0 2", "truncated 4 74"))


def test_every_expectation_is_shown_with_its_measure_and_outcome() -> None:
    text = text_of(SNAPSHOT)
    assert "Width critical at least 32 25 outside pixels ✗ critical" in text
    assert "Sharpness warning at least 32 25 outside pixels ✓ met" in text
    assert "Labels warning at most 0.25 no parent an index not measured" in text
    assert "Share warning at most 90 % 95 % share ! warning" in text


@pytest.mark.parametrize(
    ("results", "verdict"),
    [
        (RESULTS, "1 critical expectation is not met"),
        ((WIDTHS, replace(WIDTHS, title="Height")), "2 critical expectations are not met"),
        ((SHARE, TOLERATED), "Every critical expectation is met, with 1 warning"),
        (
            (TOLERATED, UNMEASURED),
            "Every expectation is met Ingest noticed what stands above; nothing else asks for attention. 1 could not",
        ),
        ((), "This snapshot has not been validated"),
    ],
    ids=["critical", "two critical", "warning", "met", "not validated"],
)
def test_the_verdict_comes_first(results: tuple[CheckResult, ...], verdict: str) -> None:
    assert verdict in text_of(only(*results)).partition("Images by class")[0]


def test_a_snapshot_without_a_notice_asks_for_nothing() -> None:
    text = text_of(replace(only(TOLERATED), notices=()))

    assert "Every expectation is met Nothing in this snapshot asks for attention." in text


def test_the_outcomes_are_counted() -> None:
    assert "Met 1 Critical, not met 1 Warnings 1 Not measured 1" in text_of(SNAPSHOT)


def test_what_is_outside_is_shown_critical_first_and_tolerated_last() -> None:
    attention = text_of(SNAPSHOT).partition("What asks for attention")[2].partition("Images by class")[0]
    titles = [
        attention.index(title) for title in ("Width: at least 32", "Share: at most 90 %", "Sharpness: at least 32")
    ]
    assert titles == sorted(titles)
    assert "within what is tolerated" in attention[titles[2] :]


def test_twenty_pictures_are_shown_and_the_number_of_all() -> None:
    html = render_snapshot_report(SNAPSHOT)
    shown = base64.b64encode(JPEG).decode()
    assert html.count(f'src="data:image/jpeg;base64,{shown}"') == 19
    assert Outline(html).text.count("no picture") == 2
    assert "20 of 250 are shown" in Outline(html).text


def test_a_picture_names_its_image_and_label() -> None:
    page = replace(SNAPSHOT, figures=(), topics=topic_views([TOLERATED], {IDS[0]: "glioma"}, {IDS[0]: JPEG}))
    assert Outline(render_snapshot_report(page)).alts == ["Image 000000000000… of class glioma"]


def test_pictures_are_asked_for_once_an_expectation_and_of_images_alone() -> None:
    assert shown_images([replace(WIDTHS, offending=(IDS[1], IDS[1])), SHARE]) == [IDS[1]]
    assert len(shown_images([WIDTHS])) == 20


def test_topics_keep_their_order() -> None:
    assert [topic.name for topic in SNAPSHOT.topics] == ["The images", "Drift", "Classes"]


def test_the_page_leads_to_great_expectations_own_pages_when_there_are_some() -> None:
    assert 'href="gx/index.html"' in render_snapshot_report(SNAPSHOT)
    assert "own pages" not in render_snapshot_report(replace(SNAPSHOT, docs=None))


def test_the_first_snapshot_has_no_parent() -> None:
    page = replace(SNAPSHOT, parent=None, now=NO_ARRIVALS, overall=NO_ARRIVALS, topics=(), figures=(), counts=())
    html = render_snapshot_report(page)
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
