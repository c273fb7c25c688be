from __future__ import annotations

import json
import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from infra.local.airflow_api import AirflowApi, DagRun, Health, TaskInstance
from infra.local.errors import AirflowApiError

RUN = {
    "dag_id": "retrain", "dag_run_id": "manual__2026-01-01T00:00:00+00:00", "state": "running", "run_type": "manual",
    "queued_at": "2026-01-01T00:00:00Z", "start_date": "2026-01-01T00:00:01.500000Z", "end_date": None,
}  # fmt: skip
TASK = {
    "task_id": "train", "map_index": 1, "rendered_map_index": "vgg19", "state": None, "try_number": 0,
    "start_date": None, "end_date": None,
}  # fmt: skip


@pytest.fixture
def server():
    """Answers what a test puts into ``answers`` (method and path to status and body) and notes what was asked."""

    class Handler(BaseHTTPRequestHandler):
        def respond(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            asked.append((f"{self.command} {self.path}", json.loads(body) if body else None, self.headers))
            status, answer = answers.get(f"{self.command} {self.path}", (404, {"detail": "not found"}))
            if callable(answer):
                status, answer = answer()
            data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PATCH = respond  # noqa: N815

        def log_message(self, *arguments):
            pass

    asked: list = []
    answers = {"POST /auth/token": (201, {"access_token": "first"})}
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever, args=(0.01,))
        thread.start()
        http.answers, http.asked = answers, asked
        yield http
        http.shutdown()
        thread.join()


@pytest.fixture
def api(server):
    with AirflowApi(f"http://127.0.0.1:{server.server_address[1]}/", "admin", "password") as api:
        yield api


def test_it_signs_in_once_and_sends_the_token(server, api):
    server.answers["GET /api/v2/dags/retrain"] = (200, {})
    assert api.has_dag("retrain")
    assert api.has_dag("retrain")
    (login, credentials, _), *others = server.asked
    assert login == "POST /auth/token"
    assert credentials == {"username": "admin", "password": "password"}
    assert [headers["Authorization"] for _, _, headers in others] == ["Bearer first"] * 2


def test_it_signs_in_again_when_the_token_has_run_out(server, api):
    tokens = iter(["first", "second"])
    server.answers["POST /auth/token"] = (201, lambda: (201, {"access_token": next(tokens)}))
    server.answers["GET /api/v2/dags/retrain"] = (
        200,
        lambda: (200 if server.asked[-1][2]["Authorization"] == "Bearer second" else 401, {}),
    )
    assert api.has_dag("retrain")


def test_health_needs_no_sign_in(server, api):
    server.answers["GET /api/v2/monitor/health"] = (
        200,
        {
            "metadatabase": {"status": "healthy"},
            "scheduler": {"status": "unhealthy", "latest_scheduler_heartbeat": "2026-01-01T00:00:00Z"},
            "triggerer": {"status": None, "latest_triggerer_heartbeat": None},
        },
    )
    assert api.health() == {
        "metadatabase": Health("healthy", None),
        "scheduler": Health("unhealthy", datetime(2026, 1, 1, tzinfo=UTC)),
        "triggerer": Health(None, None),
    }
    assert len(server.asked) == 1


def test_a_trigger_names_no_date_and_gives_the_run(server, api):
    server.answers["POST /api/v2/dags/retrain/dagRuns"] = (200, RUN)
    run = api.trigger("retrain", {"variants": ["vgg19"]})
    assert server.asked[-1][1] == {"logical_date": None, "conf": {"variants": ["vgg19"]}}
    assert run == DagRun(
        "retrain", RUN["dag_run_id"], "running", "manual",
        datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, 0, 0, 1, 500000, tzinfo=UTC), None,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("state", "finished"), [("queued", False), ("running", False), ("success", True), ("failed", True)]
)
def test_a_run_is_finished_in_its_final_states(server, api, state, finished):
    server.answers["GET /api/v2/dags/retrain/dagRuns/one"] = (200, {**RUN, "state": state})
    assert api.dag_run("retrain", "one").finished is finished


def test_a_run_id_is_quoted(server, api):
    path = "/api/v2/dags/retrain/dagRuns/manual__2026-01-01T00%3A00%3A00%2B00%3A00%2F1"
    server.answers[f"GET {path}"] = (200, RUN)
    assert api.dag_run("retrain", "manual__2026-01-01T00:00:00+00:00/1").state == "running"


def test_mapped_tasks_come_with_index_and_label_from_all_pages(server, api):
    path = "GET /api/v2/dags/retrain/dagRuns/one/taskInstances?limit=100"
    server.answers[f"{path}&offset=0"] = (200, {"task_instances": [TASK] * 100, "total_entries": 101})
    server.answers[f"{path}&offset=100"] = (200, {"task_instances": [TASK], "total_entries": 101})
    tasks = api.task_instances("retrain", "one")
    assert len(tasks) == 101
    assert tasks[-1] == TaskInstance("train", 1, "vgg19", None, 0, None, None)


def test_the_newest_runs_come_first(server, api):
    server.answers["GET /api/v2/dags/retrain/dagRuns?order_by=-run_after&limit=2"] = (200, {"dag_runs": [RUN, RUN]})
    assert len(api.latest_runs("retrain", limit=2)) == 2


def test_what_a_task_returned_is_there_and_otherwise_none(server, api):
    path = "GET /api/v2/dags/retrain/dagRuns/one/taskInstances/gate/xcomEntries/return_value"
    server.answers[f"{path}?map_index=-1&stringify=false"] = (200, {"value": {"promoted": True}})
    assert api.xcom("retrain", "one", "gate") == {"promoted": True}
    assert api.xcom("retrain", "one", "gate", map_index=3) is None


def test_pools_and_import_errors_are_read(server, api):
    server.answers["GET /api/v2/pools?limit=100&offset=0"] = (
        200,
        {"pools": [{"name": "gpu", "slots": 1}], "total_entries": 1},
    )
    server.answers["GET /api/v2/importErrors?limit=100&offset=0"] = (200, {"import_errors": [], "total_entries": 0})
    assert api.pools() == {"gpu": 1}
    assert api.import_errors() == {}


def test_unpausing_says_so(server, api):
    server.answers["PATCH /api/v2/dags/retrain"] = (200, {})
    api.unpause("retrain")
    assert server.asked[-1][1] == {"is_paused": False}


@pytest.mark.parametrize(
    ("status", "remedy"), [(401, "passwords file"), (403, "passwords file"), (404, "make logs"), (400, "message says")]
)
def test_a_refusal_names_the_url_the_answer_and_a_remedy(server, api, status, remedy):
    server.answers["PATCH /api/v2/dags/retrain"] = (status, {"detail": "because"})
    with pytest.raises(
        AirflowApiError, match=rf"PATCH http://127.0.0.1:\d+/api/v2/dags/retrain answered {status}"
    ) as no:
        api.unpause("retrain")
    assert "because" in no.value.message
    assert remedy in no.value.remedy


def test_a_wrong_password_is_said_to_be_one(server, api):
    server.answers["POST /auth/token"] = (401, {"detail": "Invalid credentials"})
    with pytest.raises(AirflowApiError, match="Invalid credentials"):
        api.pools()


def test_something_else_on_the_port_is_recognised(server, api):
    server.answers["GET /api/v2/monitor/health"] = (200, b"<html>")
    with pytest.raises(AirflowApiError, match="without JSON"):
        api.health()


def test_without_a_server_the_remedy_is_to_start_it():
    with AirflowApi("http://127.0.0.1:9", "admin", "password") as api, pytest.raises(AirflowApiError) as caught:
        api.health()
    assert "http://127.0.0.1:9/api/v2/monitor/health" in caught.value.message
    assert "make up" in caught.value.remedy
