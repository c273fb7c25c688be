import json
from types import SimpleNamespace

import pytest

from ml.context import Context
from plugins.links import (
    DATA_DOCS,
    EXTRA_LINKS,
    MLFLOW_RUN,
    MODELS_PAGE,
    MONITOR_PAGE,
    RUN_PAGE,
    SNAPSHOT_PAGE,
)
from plugins.task_log import Telling

BASE = "https://airflow.example/flow"


@pytest.fixture(autouse=True)
def base_url(monkeypatch):
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", BASE)


@pytest.fixture
def context(tmp_path, monkeypatch):
    path = tmp_path / "quartet.yaml"
    path.write_text(f"store: {{url: {tmp_path / 'store'}}}\ntracking_uri: sqlite:///{tmp_path / 'mlflow.db'}\n")
    monkeypatch.setenv("QUARTET_CONFIG", str(path))
    return Context.from_environment()


def test_the_run_s_page_is_that_of_the_run_the_task_was_given():
    telling = Telling("other", {"retrain_id": "manual__2026-01-01T00:00:00+00:00"})

    assert RUN_PAGE.find(telling) == f"{BASE}/quartet/runs/manual__2026-01-01T00-00-00-00-00/report.html"


@pytest.mark.parametrize(
    ("arguments", "result"), [({"snapshot_id": "000001"}, {"checks": 17}), ({"validation": {}}, "000001")]
)
def test_a_snapshot_s_pages_appear_once_they_are_written(context, arguments, result):
    telling = Telling("run", arguments, result, context)
    before = [link.find(telling) for link in (SNAPSHOT_PAGE, DATA_DOCS)]
    context.store.put("snapshots/000001/report/index.html", b"<html>")
    between = [link.find(telling) for link in (SNAPSHOT_PAGE, DATA_DOCS)]
    context.store.put("snapshots/000001/report/gx/index.html", b"<html>")

    page, docs = (f"{BASE}/quartet/snapshots/000001/report/{name}" for name in ("index.html", "gx/index.html"))
    assert (before, between) == (["", ""], [page, ""])
    assert [link.find(telling) for link in (SNAPSHOT_PAGE, DATA_DOCS)] == [page, docs]


def test_the_monitor_s_page_is_there_when_its_task_has_succeeded():
    assert MONITOR_PAGE.find(Telling("scheduled__1", {})) == ""
    assert MONITOR_PAGE.find(Telling("scheduled__1", {}, {"version": 1})) == (
        f"{BASE}/quartet/monitoring/scheduled__1/report.html"
    )


@pytest.mark.parametrize(
    ("arguments", "result"),
    [({"retrain_id": "r", "variant": "narrow"}, {"epochs": 3}), ({"retrain_id": "r"}, "narrow")],
    ids=["the variant's", "the winner's"],
)
def test_a_database_of_mlflow_has_no_page_to_link_to(context, arguments, result):
    context.store.put("runs/r/narrow/candidate.json", json.dumps({"mlflow_run_id": "abc"}).encode())

    assert MLFLOW_RUN.find(Telling("r", arguments, result, context)) == ""


def test_a_task_that_failed_or_opened_nothing_has_no_run_at_mlflow(context):
    assert MLFLOW_RUN.find(Telling("r", {"retrain_id": "r", "variant": "narrow"}, None, context)) == ""
    assert MLFLOW_RUN.find(Telling("r", {"retrain_id": "r"}, "narrow")) == ""


def test_a_button_leads_below_the_address_under_which_airflow_was_opened():
    operator = SimpleNamespace(telling=Telling("r", {}, pages={"Models": MODELS_PAGE.find(Telling("r", {}))}))

    assert MODELS_PAGE.get_link(operator, ti_key=None) == "/flow/plugin/models"


def test_a_button_to_another_server_keeps_its_address():
    address = "http://mlflow.example/#/experiments/1/runs/abc"
    operator = SimpleNamespace(telling=Telling("r", {}, pages={"MLflow run": address}))

    assert MLFLOW_RUN.get_link(operator, ti_key=None) == address


@pytest.mark.parametrize("operator", [SimpleNamespace(), SimpleNamespace(telling=Telling("r", {}))])
def test_a_task_with_nothing_to_show_has_an_empty_link(operator):
    assert all(link.get_link(operator, ti_key=None) == "" for link in EXTRA_LINKS)


def test_every_link_is_kept_under_a_key_of_its_own():
    assert len({link.xcom_key for link in EXTRA_LINKS}) == len({link.name for link in EXTRA_LINKS}) == len(EXTRA_LINKS)
