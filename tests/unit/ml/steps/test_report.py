import re

import pytest

from ml.steps import report

pytestmark = pytest.mark.slow


@pytest.fixture
def page(first_run):
    return first_run.context.store.get("runs/first/report.html").decode()


def test_page_shows_the_candidates_the_decision_and_the_version(page, first_run):
    assert all(variant in page for variant in ("narrow", "wide"))
    assert first_run.decision["reason"] in page
    assert "Promoted as version 1" in page


def test_page_says_that_the_weights_are_random(page):
    assert "random, untrained weights (seed 1)" in page


def test_page_loads_nothing_from_elsewhere(page):
    sources = re.findall(r'(?:src|href)="([^"#][^"]{0,40})', page)

    assert sources
    assert all(source.startswith("data:image/png;base64,") for source in sources)


def test_page_of_a_rejected_run_has_the_champion_beside_the_candidates(second_run):
    page = second_run.context.store.get("runs/second/report.html").decode()

    assert "better than the champion" in page
    assert re.search(r"[Cc]hampion", page)
    assert "Promoted as version" not in page


def test_missing_picture_is_left_out_of_the_page(first_run, caplog):
    from datetime import UTC, datetime

    store = first_run.context.store
    picture = store.get("runs/first/wide/attention.png")
    store.delete("runs/first/wide/attention.png")

    report.run(first_run.context, "first", datetime.now(UTC), 1)

    store.put("runs/first/wide/attention.png", picture)
    assert "wide has no attention.png" in caplog.text
