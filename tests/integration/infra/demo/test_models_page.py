"""The Models page in a browser: what people do there happens, and what it shows is what the store holds."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest
import requests

from airflow_browser import open_dialog, open_models, read_table, send, trigger
from infra.local.credentials import ADMIN
from ml.promotions import load_changes
from store_figures import StoreFigures

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def waiting(demo_stack, killed_promotion, admin, artefacts):
    """A run whose winner waits for a person, as somebody has asked in Airflow's own form."""
    # Without that rule the winner of a run like the others clears the gate.
    demo_stack.configure(gate={"min_macro_f1": 0.0, "champion_margin": None})
    choices = {"variants": "narrow", "approval": "ask"}
    run_id = trigger(admin, "retrain", {"reason": "a person shall see it"}, choices)
    run = demo_stack.api.dag_run("retrain", run_id)
    demo_stack.wait_for_task(run, "approve", "awaiting_input")
    return run


@pytest.fixture(scope="module")
def approved(demo_stack, waiting, admin, artefacts):
    """That run, after the administrator has approved it on the page to which the Models page leads."""
    page = open_models(admin)
    page.get_by_role("note").filter(has_text="waits for approval").wait_for()
    admin.screenshot(path=artefacts / "models-waiting.png")
    page.get_by_role("link", name="Approve or reject").click()
    admin.wait_for_url(f"**/{quote(waiting.run_id)}/tasks/approve/required_actions")
    admin.get_by_role("button", name="Approve").wait_for()
    admin.screenshot(path=artefacts / "approval.png", full_page=True)
    evidence = admin.locator("body").inner_text()
    admin.get_by_role("button", name="Approve").click()
    return demo_stack.finish(waiting), evidence


@pytest.fixture(scope="module")
def rolled_back(demo_stack, approved, admin):
    """The rollback that was started from the page after that."""
    page = open_models(admin)
    run_id = send(page, open_dialog(page, "Roll back", "worse on the new scanner"))
    return demo_stack.finish(demo_stack.api.dag_run("rollback", run_id))


@pytest.fixture(scope="module")
def shown(rolled_back, admin):
    """The page, in Airflow's frame, after all of that."""
    return open_models(admin)


@pytest.fixture(scope="module")
def figures(demo_stack, rolled_back):
    return StoreFigures(demo_stack.store, "tiny")


def test_a_waiting_run_shows_the_decisions_evidence(demo_stack, waiting, approved):
    _, evidence = approved

    for rule in demo_stack.run_json(waiting.run_id, "decision.json")["rules"]:
        assert f"{rule['name']}: {rule['measured']}, required {rule['required']}" in evidence


def test_who_approves_in_the_browser_is_on_record_and_the_winner_is_promoted(demo_stack, waiting, approved):
    answer = demo_stack.run_json(waiting.run_id, "approval.json")["answer"]
    promotion = [one for one in load_changes(demo_stack.store, "tiny") if one.run_id == waiting.run_id][-1]

    assert (answer["approved"], answer["by"]) == (True, ADMIN)
    assert (promotion.action, promotion.version, promotion.by) == ("promote", 3, ADMIN)


def test_a_rollback_from_the_page_serves_the_version_before_and_keeps_the_reason(demo_stack, rolled_back):
    newest = load_changes(demo_stack.store, "tiny")[-1]

    assert (newest.action, newest.version, newest.by) == ("rollback", 2, ADMIN)
    assert newest.reason == "worse on the new scanner"
    assert _served(demo_stack)["2"] == "AVAILABLE"


def test_the_champion_is_that_of_the_record(shown, figures):
    expected = figures.champion()

    assert {name: shown.locator(f"[data-figure={name}]").inner_text() for name in expected} == expected


def test_what_is_served_is_what_the_model_server_says(demo_stack, shown):
    rows = read_table(shown, "#production")

    assert {version: state.upper() for version, state, _ in rows} == _served(demo_stack)
    assert [version for version, _, labels in rows if labels == "stable"] == ["2"]


def test_the_latest_run_is_the_one_that_was_decided_last(demo_stack, shown, figures, waiting):
    decision = demo_stack.run_json(waiting.run_id, "decision.json")

    assert figures.decided_runs()[0] in waiting.run_id.replace(":", "-").replace("+", "-")
    assert shown.locator("[data-figure=latest-run]").inner_text() == waiting.run_id
    assert shown.locator("[data-figure=latest-reason]").inner_text() == decision["reason"]
    assert "version 3" in shown.locator("[data-figure=latest-outcome]").inner_text()


def test_the_leaderboard_and_the_gates_rules_have_the_runs_figures(shown, figures):
    newest = figures.decided_runs()[0]

    assert read_table(shown, "#leaderboard") == figures.leaderboard(newest)
    assert read_table(shown, "#rules") == figures.rules(newest)


def test_the_history_has_every_record_and_every_run(shown, figures):
    runs = read_table(shown, "table.runs")
    promoted = {one["run_id"]: one["version"] for one in figures.records() if one["action"] == "promote"}
    told = {row[1]: int(row[4].split()[3].strip(",.")) for row in runs if row[4].startswith("Promoted as version")}

    assert read_table(shown, "table.changes") == figures.changes()
    assert [row[:4] for row in runs] == figures.trained()
    assert told == promoted


def test_the_time_line_has_a_dot_for_each_swap(shown, figures):
    titles = shown.locator(".timeline title").all_text_contents()
    swaps = [record for record in figures.records() if record["action"] in {"promote", "rollback"}]

    assert [title.split(" (")[0] for title in titles] == [f"Version {record['version']}" for record in swaps]


def test_the_confusion_matrix_counts_what_the_champion_answered(shown, figures):
    assert [[cell.split()[0] for cell in row] for row in read_table(shown, "#confusion")] == figures.confusion()


def test_the_champions_pictures_are_those_of_its_run(shown, figures, admin):
    sources = shown.locator("#pictures img").evaluate_all("images => images.map(image => image.src)")

    assert {source.rpartition("/")[2]: admin.request.get(source).body() for source in sources} == figures.figures()


def test_snapshots_and_quarantine_are_those_of_the_store(shown, figures):
    rows = read_table(shown, "#snapshots")

    assert [[row[0].split()[0], *row[1:4], row[5]] for row in rows] == figures.snapshots()
    assert {reason: int(count) for reason, count in read_table(shown, "#quarantine")} == figures.quarantine()


def test_a_link_of_the_page_leads_to_the_snapshots_own_page(shown, admin, figures):
    with admin.expect_popup() as opened:
        shown.locator("#snapshots").get_by_role("link").first.click()
    page = opened.value
    page.wait_for_load_state()

    assert figures.snapshots()[0][0] in page.inner_text("body")
    page.close()


def test_home_shows_champion_age_macro_f1_and_last_decision(admin, figures, artefacts, shown):
    admin.goto("/")
    widget = admin.get_by_role("region", name="Model in production")
    widget.get_by_text("Champion").wait_for()
    said = dict(zip(*(widget.locator(f"{name}:first-of-type").all_inner_texts() for name in ("dt", "dd")), strict=True))
    admin.screenshot(path=artefacts / "home.png")

    champion = figures.champion()
    assert (said["Champion"], said["Macro F1"]) == (champion["champion-version"], champion["champion-macro-f1"])
    assert "minute" in said["Age"]
    assert said["Last decision"].startswith("Promoted as version 3")
    assert said["Served"] == "as on record"


def test_retrains_page_has_a_tab_with_its_latest_run(admin, waiting, artefacts, shown):
    admin.goto("/dags/retrain")
    admin.get_by_role("link", name="Models", exact=True).last.click()
    tab = admin.wait_for_selector("iframe[title=Models]").content_frame()
    tab.wait_for_selector("#latest")
    admin.screenshot(path=artefacts / "retrain-tab.png")

    assert tab.locator("[data-figure=latest-run]").inner_text() == waiting.run_id
    assert tab.locator("#data").count() == 0


def _served(stack):
    answer = requests.get(f"{stack.layout.rest_url}/v1/models/tiny", timeout=10)
    return {one["version"]: one["state"] for one in json.loads(answer.text)["model_version_status"]}
