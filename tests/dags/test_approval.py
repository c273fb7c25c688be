"""The task `approve` in this process: a person's answer comes through Airflow's API, time is up by its scheduler."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from urllib.parse import quote

import pytest
from airflow.sdk import DAG

from ml.approval import Answer, ask_approval, load_decision
from ml.config import LONGEST_WAIT_HOURS
from ml.context import Context
from ml.steps import approve as step
from ml.storage import dump_json
from plugins.approval import LONGEST_WAIT, PromotionApproval

# Airflow's and MLflow's own modules warn when they are imported here.
pytestmark = pytest.mark.filterwarnings("ignore")

CLEARED = {
    "variant": "narrow",
    "promoted": True,
    "reason": "Cleared.",
    "rules": [{"name": "F1 of [a](b)", "passed": True, "measured": "0.9", "required": "at least 0.8", "missing": ""}],
}
#: What follows is skipped or not as in `retrain`.
TINY = """
from airflow.sdk import DAG, task
from plugins.approval import PromotionApproval

with DAG("{dag_id}", schedule=None):

    @task
    def promote(decision):
        return decision["reason"]

    @task(trigger_rule="none_failed")
    def report(reason):
        return reason

    report(promote(PromotionApproval(task_id="approve", retrain_id="run").output))
"""


def test_the_longest_wait_is_that_of_the_settings_and_fits_into_a_run(load_dag):
    assert timedelta(hours=LONGEST_WAIT_HOURS) == LONGEST_WAIT
    assert load_dag("retrain").dagrun_timeout > LONGEST_WAIT


def test_task_keeps_its_limits_of_time(load_dag):
    approve = load_dag("retrain").get_task("approve")

    assert approve.defaults == ["Reject"]
    assert approve.execution_timeout == timedelta(hours=2)


#: What Airflow gives a task that is worked on, as far as it is told of.
AT_WORK = {
    "run_id": "run",
    "ti": SimpleNamespace(dag_id="tiny", task_id="approve", run_id="run", map_index=-1, try_number=1, max_tries=2),
    "params": {},
}


@pytest.fixture
def operator():
    return PromotionApproval(task_id="approve", retrain_id="run", dag=DAG("tiny", schedule=None))


@pytest.mark.parametrize(
    ("gate", "decision"),
    [({}, CLEARED), ({"approval": {}}, CLEARED | {"promoted": False, "reason": "Rejected."})],
    ids=["not-configured", "rejected-by-the-gate"],
)
def test_nobody_is_asked_without_the_setting_or_after_the_gates_rejection(set_up, operator, gate, decision):
    context = set_up(gate=gate)
    context.store.put("runs/run/decision.json", dump_json(decision))

    assert operator.execute(AT_WORK) == {"promoted": decision["promoted"], "reason": decision["reason"]}
    assert context.store.head("runs/run/approval.json") is None


def test_an_approved_decision_passes_when_the_task_is_tried_again(set_up, operator):
    context = set_up(gate={"approval": {}})
    context.store.put("runs/run/decision.json", dump_json(CLEARED))
    ask_approval(context.store, "run", load_decision(context.store, "run"), datetime.now(UTC))
    step.answer(context, "run", Answer(True, "2026-01-01T00:00:00+00:00", "Alice"))

    assert operator.execute(AT_WORK) == {
        "promoted": True,
        "reason": "Approved by Alice on 2026-01-01 at 00:00 UTC.",
    }


@pytest.fixture
def api(airflow_database, monkeypatch):
    """Airflow's API server, at which everybody is an administrator."""
    from airflow.api_fastapi.app import create_app, purge_cached_app
    from fastapi.testclient import TestClient

    monkeypatch.setenv("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS", "True")
    purge_cached_app()
    with TestClient(create_app(apps="core")) as client:
        client.headers["Authorization"] = f"Bearer {client.get('/auth/token').json()['access_token']}"
        yield client
    purge_cached_app()


def waiting(api):
    """The one request that nobody has answered yet."""
    for _ in range(300):
        details = api.get("/api/v2/dags/~/dagRuns/~/hitlDetails?response_received=false").json()["hitl_details"]
        if details and details[0]["task_instance"]["state"] == "awaiting_input":
            return details[0]
        time.sleep(0.1)
    raise AssertionError("nothing waits")


def answer(api, option):
    detail = waiting(api)
    where = detail["task_instance"]
    run = f"/api/v2/dags/{where['dag_id']}/dagRuns/{quote(where['dag_run_id'], safe='')}"
    url = f"{run}/taskInstances/{where['task_id']}/-1/hitlDetails"
    api.patch(url, json={"chosen_options": [option], "params_input": {}}).raise_for_status()
    return detail


def sweep(api):
    """What the scheduler does when time is up."""
    from airflow.jobs.job import Job
    from airflow.jobs.scheduler_job_runner import SchedulerJobRunner

    detail = waiting(api)
    time.sleep(0.5)
    SchedulerJobRunner(Job()).check_awaiting_input_timeouts()
    return detail


@pytest.fixture
def load_tiny(airflow_database, tmp_path):
    """A DAG in a file, which is where Airflow wants one that runs."""
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db

    DagBundlesManager().sync_bundles_to_db()

    def load(dag_id):
        path = tmp_path / "tiny.py"
        path.write_text(TINY.format(dag_id=dag_id))
        bag = DagBag(str(path), bundle_path=tmp_path, bundle_name="dags-folder")
        assert bag.import_errors == {}
        sync_bag_to_db(bag, "dags-folder", None)
        return bag.dags[dag_id]

    return load


@pytest.fixture
def run(api, set_up, load_tiny, cleared, http_sink):
    """Run the task while somebody answers: what was asked, the tasks' states, the answer as it was recorded."""
    channel = {"base_url": "https://airflow.example", "webhook": {"url": http_sink.url}}

    def run(dag_id, respond, **approval):
        context = set_up(**cleared | {"gate": cleared["gate"] | {"approval": approval}, "alerts": channel})
        context.store.delete("runs/run/approval.json")
        with ThreadPoolExecutor() as pool:
            asked = pool.submit(respond, api)
            states = {one.task_id: str(one.state) for one in load_tiny(dag_id).test().get_task_instances()}
        return asked.result(), states, json.loads(context.store.get("runs/run/approval.json"))["answer"]

    return run


@pytest.mark.slow
def test_a_person_is_asked_with_the_numbers_and_told_where_to_answer(run, http_sink):
    asked, states, recorded = run("approved", lambda api: answer(api, "Approve"))

    assert states == dict.fromkeys(("approve", "promote", "report"), "success")
    assert (recorded["approved"], recorded["by"], recorded["timed_out"]) == (True, "Anonymous", False)
    assert asked["subject"] == "Promote narrow of run?"
    assert "- macro F1: **0" in asked["body"]
    assert "report.html" in asked["body"]
    (alert,) = http_sink.bodies
    assert (alert["severity"], alert["title"]) == ("info", "approved: narrow waits for approval")
    assert alert["links"][0]["address"].endswith("/tasks/approve/required_actions")


@pytest.mark.slow
def test_a_rejection_skips_the_promotion_and_the_report_is_written(run, http_sink):
    _, states, recorded = run("rejected", lambda api: answer(api, "Reject"))

    assert states == {"approve": "success", "promote": "skipped", "report": "success"}
    assert (recorded["approved"], recorded["by"]) == (False, "Anonymous")
    assert len(http_sink.bodies) == 1


@pytest.mark.slow
def test_silence_is_a_rejection_and_is_told(run, http_sink):
    _, states, recorded = run("silent", sweep, timeout_hours=1e-4)

    assert states == {"approve": "success", "promote": "skipped", "report": "success"}
    assert (recorded["approved"], recorded["by"], recorded["timed_out"]) == (False, None, True)
    assert [alert["title"] for alert in http_sink.bodies] == [
        "silent: narrow waits for approval",
        "silent: nobody approved",
    ]


@pytest.mark.slow
def test_somebody_who_was_quicker_on_the_command_line_has_decided(run, set_up, cleared):
    def overtaken(api):
        waiting(api)
        context = Context.from_environment()
        step.answer(context, "run", Answer(True, "2026-01-01T00:00:00+00:00", "Alice", through="command line"))
        return answer(api, "Reject")

    _, states, recorded = run("overtaken", overtaken)

    assert states["promote"] == "success"
    assert recorded["by"] == "Alice"


@pytest.mark.slow
def test_only_an_answer_of_the_named_counts(run, set_up, cleared):
    def unnamed(api):
        """Whom Airflow lets answer all the same: it keeps the names of a task that is cleared, and here all are one."""
        asked = answer(api, "Approve")
        again = waiting(api)
        set_up(**cleared | {"gate": {"min_macro_f1": 0, "approval": {}}})
        answer(api, "Reject")
        return asked, again

    (asked, again), states, recorded = run("named", unnamed, approvers=["alice", "bob"])

    assert [user["id"] for user in asked["assigned_users"]] == ["alice", "bob"]
    assert again["task_instance"]["task_id"] == "approve"
    assert (states["promote"], recorded["approved"]) == ("skipped", False)


@pytest.mark.parametrize(
    ("manager", "expected"),
    [
        ("airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager", ["alice"]),
        # Its ids are numbers: Airflow would refuse everybody whom the settings name.
        ("airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager", None),
    ],
    ids=["simple", "fab"],
)
def test_airflow_is_told_who_may_answer_only_where_it_knows_them_by_name(monkeypatch, manager, expected):
    from plugins.approval import _assigned

    monkeypatch.setenv("AIRFLOW__CORE__AUTH_MANAGER", manager)
    assigned = _assigned(("alice",))

    assert (assigned and [user["id"] for user in assigned]) == expected
    assert _assigned(()) is None
