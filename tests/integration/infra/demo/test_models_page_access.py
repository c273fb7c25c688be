"""Who may see and use the Models page, and with what: users, other sites, keyboards, eyes that need contrast."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from airflow_browser import choose_theme, open_models, serious_faults, tab_stops
from infra.local.airflow_env import airflow_environment, base_environment
from ml.layout import safe_run_id

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

ACTIONS = ("retrain", "promote", "rollback")
PROGRAM = """
import json
from plugins.models_page.app import create_app
print(json.dumps([[method, route.path] for route in create_app().routes for method in sorted(route.methods)]))
"""
#: Sends a form by itself, as a page of somebody else would.
FOREIGN = """<!DOCTYPE html><title>win a prize</title><form method="post" action="{action}">
<input name="token" value="{token}"><input name="reason" value="because of a prize"><input name="force" value="on">
</form><script>document.forms[0].submit()</script>"""
#: Everything that Tab must lead to, in the page's order.
REACHABLE = """() => [...document.querySelectorAll("a[href], button, input, select, textarea, summary, [tabindex='0']")]
    .filter(one => !one.disabled && one.checkVisibility())
    .map(one => [...document.querySelectorAll("*")].indexOf(one))"""


@pytest.fixture(scope="module")
def routes(demo_stack):
    """Every route of the application, with parts of addresses filled in so that something is there."""
    layout = demo_stack.layout
    environ = base_environment(layout, demo_stack.environ) | airflow_environment(layout, "for reading routes only")
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=layout.root, env=environ, capture_output=True, text=True, check=True
    )
    run = demo_stack.newest_run("retrain")
    parts = {
        "{run_id}/{name}": f"{safe_run_id(run.run_id)}/report.html",
        "{run_id}": safe_run_id(run.run_id),
        "{variant}/{name}": "narrow/curves.png",
        "{snapshot_id}": demo_stack.run_json(run.run_id, "plan.json")["snapshot_id"],
        "{path:path}": "index.html",
        "{dag_id}": "retrain",
        "{action}": "retrain",
        "{monitor_id}": "none",
        "{housekeeping_id}": "none",
        "{name}": "models.css",
    }
    return [(method, _filled(path, parts)) for method, path in json.loads(result.stdout.splitlines()[-1])]


@pytest.fixture(scope="module")
def alone(admin, killed_promotion):
    """The page by itself, outside Airflow's frame, for the administrator."""
    page = admin.context.new_page()
    page.goto("/quartet/models")
    yield page
    page.close()


@pytest.fixture
def foreign_site():
    """Serves one page on another port of this machine: of the same site to a browser, but not of the same origin."""
    served = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(served["page"].encode())

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/", served
    server.shutdown()
    server.server_close()


def token_of(page):
    return page.locator("#retrain-dialog input[name=token]").get_attribute("value")


def runs_of(stack):
    return {dag_id: [run.run_id for run in stack.api.latest_runs(dag_id)] for dag_id in ACTIONS}


def test_nobody_who_is_not_signed_in_gets_anything_of_any_route(demo_stack, routes):
    with demo_stack.session() as nobody:
        answers = {f"{method} {path}": nobody.request(method, f"{demo_stack.url}{path}") for method, path in routes}

    assert len(answers) >= 9
    assert {name: answer.status_code for name, answer in answers.items()} == dict.fromkeys(answers, 401)


def test_what_the_test_above_asked_for_is_there_for_who_is_signed_in(demo_stack, routes):
    with demo_stack.session("viewer") as session:
        found = {path: session.get(f"{demo_stack.url}{path}").status_code for method, path in routes if method == "GET"}

    # Nothing was monitored or tidied up in this stack.
    assert {path: status for path, status in found.items() if status != 200} == {
        path: 404 for path in found if path.endswith("/none/report.html")
    }


def test_a_viewer_sees_the_page_with_its_buttons_disabled_and_why(viewer, killed_promotion, artefacts):
    page = open_models(viewer)
    buttons = page.locator("[data-opens]")
    viewer.screenshot(path=artefacts / "models-viewer.png")

    assert buttons.all_inner_texts() == ["Retrain", "Promote", "Roll back"]
    assert all(button.is_disabled() for button in buttons.all())
    assert page.locator("#no-rights").is_visible()


@pytest.mark.parametrize("action", ACTIONS)
def test_a_viewer_who_sends_the_form_by_hand_is_refused_and_nothing_starts(demo_stack, viewer, action):
    before = runs_of(demo_stack)
    page = viewer.context.new_page()
    page.goto("/quartet/models")
    form = {"token": token_of(page), "reason": "because I can"}

    answer = viewer.request.post(f"/quartet/actions/{action}", form=form)
    page.close()

    assert answer.status == 403
    assert runs_of(demo_stack) == before


@pytest.mark.parametrize("token", ["none", "garbage", "of another user"])
def test_a_form_without_the_users_own_token_is_refused_and_nothing_starts(demo_stack, admin, viewer, token):
    before = runs_of(demo_stack)
    form = {"reason": "because of a prize", "force": "on"}
    if token == "garbage":
        form["token"] = "garbage"
    elif token == "of another user":
        viewer.goto("/quartet/models")
        form["token"] = token_of(viewer)

    answer = admin.request.post("/quartet/actions/retrain", form=form)

    assert answer.status == 403
    assert runs_of(demo_stack) == before


def test_a_form_that_another_site_sends_is_refused_although_the_token_is_right(demo_stack, admin, alone, foreign_site):
    before = runs_of(demo_stack)
    url, served = foreign_site
    served["page"] = FOREIGN.format(action=f"{demo_stack.url}/quartet/actions/retrain", token=token_of(alone))

    page = admin.context.new_page()
    with page.expect_response("**/quartet/actions/retrain") as sent:
        page.goto(url)
    page.wait_for_load_state()

    assert "_token=" in sent.value.request.all_headers().get("cookie", ""), (
        "the browser sends no session, so the test shows nothing"
    )
    assert sent.value.status == 403
    assert "another site" in page.inner_text("body")
    assert runs_of(demo_stack) == before
    page.close()


def test_the_page_asks_no_other_server_and_complains_of_nothing(demo_stack, admin, killed_promotion):
    page = admin.context.new_page()
    asked, said = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto("/quartet/models")
    page.locator("#pictures img").last.scroll_into_view_if_needed()
    page.wait_for_load_state("networkidle")
    page.close()

    assert [url for url in asked if not url.startswith((demo_stack.url, "data:"))] == []
    assert said == []


def test_everything_can_be_reached_by_tab_and_the_focus_is_seen(alone):
    stops = tab_stops(alone)

    assert [stop["place"] for stop in stops] == alone.evaluate(REACHABLE)
    assert [stop["name"] for stop in stops if not stop["visible"]] == []


@pytest.mark.parametrize("label", ["Retrain", "Promote"])
def test_a_dialog_opens_and_closes_by_keyboard_and_gives_the_focus_back(alone, label):
    button = alone.get_by_role("button", name=label, exact=True)
    button.focus()
    alone.keyboard.press("Enter")
    dialog = alone.get_by_role("dialog")
    dialog.wait_for()
    inside = dialog.evaluate("dialog => dialog.contains(document.activeElement)")
    alone.keyboard.press("Escape")

    assert inside
    assert alone.get_by_role("dialog").count() == 0
    assert button.evaluate("button => button === document.activeElement")


@pytest.mark.parametrize(("mode", "ground"), [("Light Mode", "light"), ("Dark Mode", "dark")])
def test_the_page_follows_airflows_theme_without_serious_faults(admin, alone, artefacts, mode, ground):
    shown = open_models(admin)
    choose_theme(admin, mode)
    shown.wait_for_selector(f"html[data-theme={ground}]", state="attached")
    admin.screenshot(path=artefacts / f"models-in-airflow-{ground}.png")
    alone.bring_to_front()
    alone.reload()
    for picture in alone.locator("#pictures img").all():
        picture.scroll_into_view_if_needed()
    alone.wait_for_load_state("networkidle")
    alone.evaluate("window.scrollTo(0, 0)")
    alone.screenshot(path=artefacts / f"models-{ground}.png", full_page=True)

    assert (_brightness(alone) > 0.5) == (ground == "light")
    assert serious_faults(alone) == {}


@pytest.mark.parametrize("mode", ["Light Mode", "Dark Mode"])
@pytest.mark.parametrize("label", ["Retrain", "Promote"])
def test_an_open_dialog_has_no_serious_faults(admin, alone, artefacts, label, mode):
    open_models(admin)
    choose_theme(admin, mode)
    alone.bring_to_front()
    alone.reload()
    alone.get_by_role("button", name=label, exact=True).click()
    alone.screenshot(path=artefacts / f"dialog-{label.lower()}-{mode.split()[0].lower()}.png")
    found = serious_faults(alone)
    alone.keyboard.press("Escape")

    assert found == {}


def _filled(path, parts):
    for name, text in parts.items():
        path = path.replace(name, text)
    return f"/quartet{path}"


def _brightness(page):
    """Of the page's ground, from 0 to 1."""
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    red, green, blue = (float(part) for part in colour.removeprefix("rgb(").rstrip(")").split(",")[:3])
    return (red + green + blue) / (3 * 255)
