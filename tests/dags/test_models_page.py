"""Quartet's pages in Airflow's own web application: who may see them, and who may start what."""

import json
import re
import warnings
from pathlib import Path

import pytest
from fastapi.routing import APIRoute

from ml.storage import dump_json
from promoted import record_promotion

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from plugins.models_page import actions, context, tokens
    from plugins.models_page.app import create_app

pytestmark = [
    pytest.mark.slow,  # Airflow's application takes a while to build
    pytest.mark.filterwarnings("ignore"),  # its modules warn when it imports them
]

PASSWORDS = {"admin": "of the admin", "viewer": "of the viewer"}
PREFIX = "/quartet"


@pytest.fixture(scope="session")
def application(airflow_database):
    from airflow.api_fastapi.app import cached_app
    from airflow.configuration import conf
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db

    Path(conf.get("core", "simple_auth_manager_passwords_file")).write_text(json.dumps(PASSWORDS))
    DagBundlesManager().sync_bundles_to_db()
    sync_bag_to_db(DagBag(conf.get("core", "dags_folder")), "dags-folder", None)
    return cached_app(apps="all")


@pytest.fixture
def visit(application, set_up):
    """A browser of somebody: anonymous, or signed in by Airflow."""
    from fastapi.testclient import TestClient

    context._context.cache_clear()

    def sign_in(user=None):
        client = TestClient(application, headers={"Accept": "text/html"}, follow_redirects=False)
        if user is not None:
            answer = client.post("/auth/token", json={"username": user, "password": PASSWORDS[user]})
            client.cookies.set("_token", answer.json()["access_token"])
        return client

    return sign_in


@pytest.fixture
def store(set_up):
    return set_up().store


def routes():
    return [(method, route.path) for route in create_app().routes for method in sorted(route.methods)]


def form_token(user):
    return tokens.issue(actions.FORM, user)


def started(dag_id):
    from airflow.models import DagRun
    from airflow.utils.session import create_session

    with create_session() as session:
        runs = session.query(DagRun).filter(DagRun.dag_id == dag_id).order_by(DagRun.id).all()
        return [(run.run_id, run.conf, run.note, run.triggering_user_name) for run in runs]


def test_every_route_is_one_that_the_test_below_can_ask():
    assert len(routes()) >= 9
    assert all(isinstance(route, APIRoute) for route in create_app().routes)


@pytest.mark.parametrize(("method", "path"), routes(), ids=lambda value: value)
def test_nobody_who_is_not_signed_in_gets_anything(visit, store, method, path):
    address = PREFIX + re.sub(r"\{[^}]*\}", "report.html", path)

    answer = visit().request(method, address)

    assert answer.status_code == 401
    assert "Sign in to Airflow" in answer.text


@pytest.mark.parametrize("user", ["admin", "viewer"])
def test_whoever_is_signed_in_sees_the_page(visit, store, user):
    answer = visit(user).get(f"{PREFIX}/models")

    assert answer.status_code == 200
    assert "Nothing has been promoted yet" in answer.text


def test_a_viewer_sees_the_buttons_disabled_and_why(visit, store):
    page = visit("viewer").get(f"{PREFIX}/models").text

    buttons = re.findall(r"<button[^>]*data-opens=[^>]*>", page)
    assert len(buttons) == 3
    assert all(" disabled" in button and 'aria-describedby="no-rights"' in button for button in buttons)
    assert 'id="no-rights"' in page


def test_an_administrator_may_retrain_where_nothing_was_promoted_yet(visit, store):
    page = visit("admin").get(f"{PREFIX}/models").text

    (retrain,) = re.findall(r'<button[^>]*data-opens="retrain-dialog"[^>]*>', page)
    assert " disabled" not in retrain
    assert "no-rights" not in page
    assert "Nothing to roll back to" in page


@pytest.mark.parametrize("action", ["retrain", "promote", "rollback"])
def test_a_viewer_who_sends_a_form_by_hand_is_refused_and_nothing_starts(visit, store, action):
    before = started(action)

    answer = visit("viewer").post(
        f"{PREFIX}/actions/{action}", data={"token": form_token("viewer"), "reason": "because"}
    )

    assert answer.status_code == 403
    assert f"viewer may not trigger the DAG `{action}`" in answer.text
    assert started(action) == before


def test_an_administrator_starts_a_run_with_the_reason_on_record(visit, store):
    form = {"token": form_token("admin"), "reason": " new  scanner ", "variants": ["vgg16", "mobilenet"]}

    answer = visit("admin").post(f"{PREFIX}/actions/retrain", data=form)

    assert answer.status_code == 303, answer.text
    run_id, conf, note, by = started("retrain")[-1]
    assert (conf["variants"], conf["reason"], conf["force"]) == (["vgg16", "mobilenet"], "new scanner", False)
    assert (note, by) == ("new scanner", "admin")
    page = visit("admin").get(answer.headers["location"]).text
    assert "Retrain has been started" in page
    assert run_id in page


def test_what_the_dag_refuses_is_said_in_airflows_words(visit, store):
    form = {"token": form_token("admin"), "reason": "worse on Mondays", "version": "0"}

    answer = visit("admin").post(f"{PREFIX}/actions/rollback", data=form)

    assert answer.status_code == 400
    assert "minimum of 1" in answer.text


@pytest.mark.parametrize(
    ("form", "headers", "status", "words"),
    [
        ({"token": ""}, {}, 403, "not of your page"),
        ({"token": "x.y.z"}, {}, 403, "not of your page"),
        ({"token": lambda: form_token("viewer")}, {}, 403, "not of your page"),
        ({"token": lambda: tokens.issue(actions.NOTICE, "admin")}, {}, 403, "not of your page"),
        ({}, {"Sec-Fetch-Site": "cross-site"}, 403, "from another site"),
        ({}, {"Sec-Fetch-Site": "same-site"}, 403, "from another site"),
        ({"variants": []}, {}, 400, "No variant is ticked"),
        ({"reason": "  a  "}, {}, 400, "has 1 characters"),
        ({"reason": "x" * 1001}, {}, 400, "has 1001 characters"),
    ],
    ids=[
        "no token",
        "not ours",
        "of another user",
        "for another purpose",
        "cross-site",
        "same-site",
        "no variant",
        "short",
        "long",
    ],
)
def test_a_form_that_is_not_of_ones_own_page_starts_nothing(visit, store, form, headers, status, words):
    before = started("retrain")
    filled = {"token": lambda: form_token("admin"), "reason": "because", "variants": ["vgg16"]} | form
    data = {name: value() if callable(value) else value for name, value in filled.items()}

    answer = visit("admin").post(f"{PREFIX}/actions/retrain", data=data, headers=headers)

    assert answer.status_code == status
    assert words in answer.text
    assert started("retrain") == before


@pytest.mark.parametrize("version", ["two", "-1", "9" * 5000])
def test_a_version_that_is_no_number_is_refused(visit, store, version):
    form = {"token": form_token("admin"), "reason": "because", "version": version}

    answer = visit("admin").post(f"{PREFIX}/actions/rollback", data=form)

    assert (answer.status_code, "is no version" in answer.text) == (400, True)


def test_a_proxys_own_credentials_do_not_keep_a_signed_in_user_from_starting_a_run(visit, store):
    form = {"token": form_token("admin"), "reason": "because", "variants": ["vgg16"]}

    answer = visit("admin").post(f"{PREFIX}/actions/retrain", data=form, headers={"Authorization": "Basic eDp5"})

    assert answer.status_code == 303, answer.text


def test_a_notice_that_we_did_not_sign_is_not_shown(visit, store):
    page = visit("admin").get(f"{PREFIX}/models", params={"notice": "You won"}).text

    assert "You won" not in page
    assert "has been started" not in page


def test_stored_pages_are_shown_and_nothing_in_them_runs(visit, store):
    store.put("runs/manual-1/report.html", b"<script>alert(1)</script>")
    store.put("snapshots/000001/report/gx/index.html", b"<p>docs</p>")

    run = visit("viewer").get(f"{PREFIX}/runs/manual-1/report.html")
    docs = visit("viewer").get(f"{PREFIX}/snapshots/000001/report/gx/index.html")

    assert (run.status_code, docs.text) == (200, "<p>docs</p>")
    policy = run.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert run.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    "path",
    [
        "runs/manual-1/plan.json",
        "runs/manual-1/nothing.html",
        "runs/..%2f..%2fpseudonyms/report.html",
        "snapshots/000001/report/..%2fmanifest.parquet",
        "snapshots/000001/report/%2e%2e/%2e%2e/%2e%2e/pseudonyms/key",
        "snapshots/000001/report/secret.exe",
        "figures/manual-1/vgg16/weights.h5",
        "static/app.py",
        "static/..%2fapp.py",
        "dags/another",
        "nowhere",
    ],
)
def test_nothing_else_of_the_store_is_shown(visit, store, path):
    store.put("runs/manual-1/plan.json", b"{}")
    store.put("snapshots/000001/manifest.parquet", b"rows")
    store.put("snapshots/000001/report/secret.exe", b"MZ")
    store.put("figures/manual-1/vgg16/weights.h5", b"weights")
    store.put("pseudonyms/key", b"secret")

    assert visit("admin").get(f"{PREFIX}/{path}").status_code == 404


def test_a_page_that_is_not_written_yet_says_who_writes_it(visit, store):
    answer = visit("viewer").get(f"{PREFIX}/runs/manual-1/report.html")

    assert answer.status_code == 404
    assert "The task `report` writes it" in answer.text


def test_a_store_that_cannot_be_read_is_said_and_not_kept(visit, set_up, monkeypatch, tmp_path):
    (tmp_path / "wrong.yaml").write_text("colour: red\n")
    monkeypatch.setenv("QUARTET_CONFIG", str(tmp_path / "wrong.yaml"))
    browser = visit("admin")

    refused = browser.get(f"{PREFIX}/models")
    set_up()
    answer = browser.get(f"{PREFIX}/models")

    assert refused.status_code == 503
    assert "unknown setting" in refused.text
    assert answer.status_code == 200


def test_the_widget_on_home_tells_the_champion_and_the_last_decision(visit, store):
    record_promotion(store, "classifier", "run-1", "vgg16", version=7)

    told = visit("viewer").get(f"{PREFIX}/api/headline").json()

    facts = {fact["name"]: fact for fact in told["facts"]}
    assert (facts["Champion"]["value"], facts["Champion"]["note"]) == ("version 7", "vgg16")
    assert facts["Served"]["value"] == "not known"


@pytest.mark.parametrize("dag_id", ["ingest_images", "retrain", "promote", "rollback", "monitor", "batch_predict"])
def test_each_dag_has_a_tab_with_its_part_of_the_page(visit, store, dag_id):
    answer = visit("viewer").get(f"{PREFIX}/dags/{dag_id}")

    assert answer.status_code == 200
    assert ('id="data"' in answer.text) == (dag_id == "ingest_images")


def test_what_people_wrote_is_text_on_the_page(visit, store):
    record_promotion(store, "classifier", "run-1", "vgg16", by="<img src=x onerror=alert(1)>")
    store.put("summaries/runs/classifier/broken.json", dump_json({"run_id": "<script>"}))

    page = visit("admin").get(f"{PREFIX}/models").text

    assert "&lt;img src=x" in page
    assert "<img src=x" not in page
    assert "<script>alert" not in page
