from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from ml.report import CandidateView, DecisionView, RunPage, render_run_report
from ml.run_views import confounder_views, examination_view, slices_view

SLICES = {
    "min_images": 30,
    "worst": {"attribute": "site", "value": "<north>", "images": 40, "groups": 30, "accuracy": 0.71, "interval": None},
    "attributes": [
        {
            "name": "site",
            "slices": [
                {"value": "<north>", "images": 40, "groups": 30, "accuracy": 0.71, "interval": [0.6, 0.8]},
                {"value": "south", "images": 400, "groups": 300, "accuracy": 0.9, "interval": [0.8, 0.95]},
            ],
            "small": {"values": 5, "images": 33},
        }
    ],
}


def overlay(score, gain=None, interval=None):
    return {"deletion": 0.4, "insertion": 0.4 + score, "score": score, "gain": gain, "interval": interval}


def document(interval=(0.02, 0.2)):
    attention = overlay(0.2, 0.15, interval and list(interval))
    return {
        "variant": "vgg16",
        "export": {"size_mb": 58.91, "latency_ms_p50": 40.0, "latency_ms_p95": 55.5, "machine": "a machine, 2 cores"},
        "changes": {
            "images": 200,
            "min_unmoved": 0.95,
            "clean": {"macro_f1": 0.94},
            "changes": [
                change("noisy", None, 0.5),
                change("turned by 2°", False, 0.9),
                change("5 % darker", True, 0.99),
            ],
        },
        "overlays": {"images": 16, "overlays": {"attention": attention, "random": overlay(0.05)}},
    }


def change(title, passed, unmoved):
    return {
        "title": title,
        "macro_f1": 0.5,
        "intervals": {"macro_f1": [0.4, 0.6]},
        "difference": -0.44,
        "unmoved": unmoved,
        "unmoved_interval": None,
        "passed": passed,
    }


def page(**parts):
    empty = RunPage(
        model_name="brain-mri",
        run_id="run",
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        snapshot_id="s",
        snapshot_summary=(),
        leaderboard=(),
        decision=DecisionView(False, "Nothing."),
    )
    return " ".join(render_run_report(replace(empty, **parts)).split())


def test_slices_show_the_worst_and_how_many_are_too_small():
    html = page(candidates=(CandidateView("vgg16", slices=slices_view(SLICES)),))

    assert "worst is site &lt;north&gt;" in html
    assert html.count('<span class="tag warn">worst</span>') == 1
    assert '5 slices</th><td class="n muted">33</td><td></td><td class="n muted">too small</td>' in html
    assert '<td class="n">40</td><td class="n">30</td>' in html
    assert "0.600 to 0.800" in html


def test_candidate_without_anything_to_tell_images_apart_says_so():
    view = slices_view({"min_images": 30, "worst": None, "attributes": []})

    assert "Nothing tells the test images apart." in page(candidates=(CandidateView("vgg16", slices=view),))


def test_examination_says_what_the_export_takes_and_where():
    html = page(examination=examination_view(document(), ()))

    assert "58.9 MB" in html
    assert "55.5 ms" in html
    assert "on a machine, 2 cores" in html


def test_change_that_moves_the_answers_is_named():
    html = page(examination=examination_view(document(), ()))

    assert "The answers do not stay when images are turned by 2°." in html
    assert html.count("✗ moves") == html.count("✓ stays") == 1


@pytest.mark.parametrize(
    ("interval", "verdict"),
    [
        ((0.02, 0.2), "mark what the answer rests on better than random ones, beyond chance"),
        ((-0.02, 0.2), "are not shown to be better than random ones"),
        ((-0.2, -0.02), "mislead: random ones are better"),
        (None, "what the overlays are worth cannot be said"),
    ],
    ids=["faithful", "unknown", "misleading", "one group"],
)
def test_verdict_on_the_overlays_follows_the_interval(interval, verdict):
    assert verdict in page(examination=examination_view(document(interval), ()))


def test_what_was_not_looked_at_is_not_shown():
    html = page(examination=examination_view(document() | {"changes": None, "overlays": None}, ()))

    assert "Changed images" not in html
    assert "What the overlays are worth" not in html


@pytest.mark.parametrize(("association", "marked"), [(0.3, True), (0.29, False)])
def test_strong_confounder_is_marked(association, marked):
    views = confounder_views([{"attribute": "scanner", "association": association, "images": 1400}])

    html = page(confounders=views)

    assert ("possible confounder" in html) is marked
    assert ("a model may have learned that instead" in html) is marked
