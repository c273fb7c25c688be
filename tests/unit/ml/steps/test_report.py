import json
import re

import pytest

from browser import open_offline
from ml.candidates import load_candidate
from ml.model_card import describe_model, render_model_card
from ml.page_parts import CANDIDATE_FIGURES, EXAMINATION_FIGURES
from ml.run_settings import Difference
from ml.steps import report
from ml.storage import dump_json

from .conftest import NOW

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


def test_page_says_what_a_search_has_changed(first_run):
    store = first_run.context.store
    store.put("runs/first/wide/tuning.json", dump_json({"changes": {"units": 128, "noise": 0.2}, "trials": [{}, {}]}))

    report.run(first_run.context, "first", NOW)
    page = store.get("runs/first/report.html").decode()
    store.delete("runs/first/wide/tuning.json")

    assert "wide: the best of 2 choices of hyper-parameters is noise 0.2, units 128." in page
    assert "narrow: the best of" not in page


def test_page_and_card_say_which_settings_were_the_runs_own(first_run):
    """The card of the gate's only: what the head was trained with is what it is."""
    context, key = first_run.context, "runs/first/plan.json"
    before = context.store.get(key)
    own = [Difference("train.epochs", 20, 4)._asdict(), Difference("gate.min_macro_f1", 0.9, 0.5)._asdict()]
    context.store.put(key, dump_json(first_run.plan | {"differences": own, "reason": "<try>", "asked_by": "jane"}))

    report.run(context, "first", NOW)
    candidate = load_candidate(context.store, "first", first_run.decision["variant"])
    card = render_model_card(describe_model(context, candidate, 1, first_run.decision["reason"], NOW))
    page = context.store.get("runs/first/report.html").decode()
    context.store.put(key, before)
    report.run(context, "first", NOW)

    assert "For this run train.epochs is 4 instead of 20; gate.min_macro_f1 is 0.5 instead of 0.9" in page
    assert "asked for by jane (&lt;try&gt;)" in page
    told = card.replace("\\", "").replace("&lt;", "<").replace("&gt;", ">")
    assert "> **For this run gate.min_macro_f1 is 0.5 instead of 0.9, asked for by jane (<try>).**" in told
    assert "<try>" not in card


def test_page_loads_nothing_from_elsewhere(page):
    sources = re.findall(r'(?:src|href)="([^"#][^"]{0,40})', page)

    assert sources
    assert all(source.startswith(("data:image/webp;base64,", "data:image/jpeg;base64,")) for source in sources)


def test_page_of_a_rejected_run_has_the_champion_beside_the_candidates(second_run):
    page = second_run.context.store.get("runs/second/report.html").decode()

    assert "better than the champion" in page
    assert re.search(r"[Cc]hampion", page)
    assert "Promoted as version" not in page


def test_page_says_what_attention_is_worth(voting_run):
    page = voting_run.context.store.get("runs/vote/report.html").decode()
    rows = {row["variant"]: row["macro_f1"] for row in voting_run.evaluation["leaderboard"]}

    assert "What attention is worth" in page
    for variant in ("narrow", "wide"):
        assert f"{abs(rows[variant] - rows[f'{variant}-no-attention']):.3f}" in page


def test_page_shows_the_labels_to_look_at_again(voting_run):
    """Half of the labels are wrong, in no way that any model could learn: none is doubtful."""
    store = voting_run.context.store
    page, record = (store.get(f"runs/vote/{name}").decode() for name in ("report.html", "label_issues.json"))
    found = json.loads(record)

    assert found["images"] == 64
    assert "Labels to look at again" in page
    assert f"{found['count']} of 64 images look more like those of another label" in page
    assert "Nothing is changed by itself" in page
    assert "The backbone's weights are random" in page


def test_page_of_a_run_without_a_review_says_nothing_of_labels(first_run):
    store, key = first_run.context.store, "runs/first/label_issues.json"
    record = store.get(key)
    store.delete(key)

    report.run(first_run.context, "first", NOW)
    page = store.get("runs/first/report.html").decode()
    store.put(key, record)

    assert "Labels to look at again" not in page


def test_page_names_the_members_of_the_ensemble(voting_run):
    page = voting_run.context.store.get("runs/vote/report.html").decode()
    row = next(row for row in voting_run.evaluation["leaderboard"] if row["variant"] == "ensemble")

    members = ", ".join(f"{member['variant']} {member['weight'] * 100:.0f} %" for member in row["members"])
    assert f"The weighted mean of what its members answer: {members}." in page


def test_pictures_that_a_kind_of_candidate_lacks_are_not_missed(voting_run, caplog):
    from datetime import UTC, datetime

    report.run(voting_run.context, "vote", datetime.now(UTC))

    assert "has no" not in caplog.text


def test_missing_picture_is_left_out_of_the_page(first_run, caplog):
    from datetime import UTC, datetime

    store = first_run.context.store
    picture = store.get("runs/first/wide/attention.png")
    store.delete("runs/first/wide/attention.png")

    report.run(first_run.context, "first", datetime.now(UTC))

    store.put("runs/first/wide/attention.png", picture)
    report.run(first_run.context, "first", datetime.now(UTC))
    assert "wide has no attention.png" in caplog.text


def test_page_opens_without_a_network_and_has_nothing_to_complain_of(page, tmp_path):
    path = tmp_path / "report.html"
    path.write_text(page, encoding="utf-8")

    opened = open_offline(path)

    assert opened.requested == [path.as_uri()]
    assert (opened.failed, opened.complaints, opened.broken) == ([], [], [])
    assert opened.pictures == 2 * len(CANDIDATE_FIGURES) + len(EXAMINATION_FIGURES)
    assert opened.width <= 1200
    assert len(opened.screenshot) > 50_000


def test_page_that_asks_for_something_is_found_out(page, tmp_path):
    """What holds the page to loading nothing would see it if it did."""
    path = tmp_path / "report.html"
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    allowed = page.replace(policy, "default-src *; script-src 'unsafe-inline'")
    path.write_text(
        allowed.replace("</main>", '<img src="http://127.0.0.1:9/x.png" alt="lost"><script>nothing()</script></main>')
    )

    opened = open_offline(path)

    assert "http://127.0.0.1:9/x.png" in opened.requested
    assert "lost" in opened.broken
    assert opened.failed
    assert opened.complaints
