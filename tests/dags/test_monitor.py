"""The DAG `monitor`: its graph, its schedule, and runs in this process over a real store."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ml.monitor_state import load_state
from monitored import NOON, log_requests, make_rows, make_version
from plugins.schedules import monitor_schedule

pytestmark = pytest.mark.filterwarnings("ignore")  # Airflow's and MLflow's own modules warn when tasks import them

ROOT = Path(__file__).resolve().parents[2]
GRAPH = {
    "check_serving": {"report"},
    "measure_traffic": {"report"},
    "measure_drift": {"report"},
    "report": {"retrain"},
    "retrain": set(),
}


@pytest.fixture
def set_up_version(set_up, tmp_path, closed_port, http_sink):
    """Settings with alerts that are received, a version in production, and requests that have drifted or not."""

    def write(brighter, **monitoring):
        context = set_up(
            serving={"grpc_port": closed_port, "rest_port": closed_port, "retries": 0, "timeout_seconds": 2},
            monitoring={"log_share": 1.0, "window_hours": 2000} | monitoring,
            alerts={"webhook": {"url": http_sink.url}},
            tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}",
            artifact_uri=str(tmp_path / "artifacts"),
        )
        make_version(context.store, "classifier")
        now = datetime.now(UTC)
        rows = [
            row.__class__(**{**vars(row), "at": row.at + (now - NOON)}) for row in make_rows(300, 5, brighter=brighter)
        ]
        log_requests(context.store, "classifier", rows)
        return context

    return write


@pytest.fixture
def retrain_runs(load_dag):
    """Lets Airflow know the DAG `retrain`; returns what gives the ids and states of its runs."""
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session

    load_dag("retrain")
    DagBundlesManager().sync_bundles_to_db()
    sync_bag_to_db(DagBag(str(ROOT / "dags" / "retrain.py")), "dags-folder", None)

    def runs():
        with create_session() as session:
            found = session.query(DagRun).filter(DagRun.dag_id == "retrain").all()
            return [(run.run_id, str(run.state)) for run in found]

    yield runs
    with create_session() as session:
        session.query(DagRun).filter(DagRun.run_id == "drift_of_version_1").delete()


@pytest.fixture
def run_monitor(load_dag):
    """Runs the DAG to its end; returns the run and each task's state."""

    def run():
        dag = load_dag("monitor")
        for task in dag.tasks:
            task.retries = 0
        dag.deadline = None  # apache/airflow#73428: dag.test() cannot write it down
        dag_run = dag.test()
        return dag_run, {instance.task_id: str(instance.state) for instance in dag_run.get_task_instances()}

    return run


def test_graph_is_what_the_documentation_shows(load_dag):
    dag = load_dag("monitor")

    assert {task.task_id: set(task.downstream_task_ids) for task in dag.tasks} == GRAPH
    assert all(task.doc_md and f"`{task.task_id}`" in dag.doc_md for task in dag.tasks)


def test_one_look_at_a_time_within_limits_and_none_for_what_was_missed(load_dag):
    dag = load_dag("monitor")

    assert (dag.max_active_runs, dag.catchup) == (1, False)
    assert dag.dagrun_timeout is not None
    assert all(task.execution_timeout is not None for task in dag.tasks)


@pytest.mark.parametrize(
    ("text", "schedule"),
    [(None, "@hourly"), ("", "@hourly"), ("@daily", "@daily"), ("*/15 * * * *", "*/15 * * * *"), ("never", None)],
)
def test_the_schedule_is_hourly_unless_a_variable_says_otherwise(text, schedule):
    assert monitor_schedule({} if text is None else {"QUARTET_MONITOR_SCHEDULE": text}) == schedule


def test_the_dag_takes_the_schedule(load_dag, monkeypatch):
    monkeypatch.setenv("QUARTET_MONITOR_SCHEDULE", "never")

    assert load_dag("monitor").schedule is None


@pytest.mark.slow
def test_a_look_writes_its_page_and_tells_in_one_alert(set_up_version, run_monitor, http_sink):
    context = set_up_version(brighter=15)

    run, states = run_monitor()
    again, _ = run_monitor()

    assert states == dict.fromkeys(GRAPH, "success") | {"retrain": "skipped"}
    (alert,) = http_sink.bodies
    assert alert["severity"] == "critical"
    assert alert["title"] == "monitor: classifier is beyond its limits: model server, registry, brightness"
    assert {run.run_id, again.run_id} == {json.loads(context.store.get(info.key))["monitor_id"]
                                          for info in context.store.list("monitoring/")
                                          if info.key.endswith("report.json")}  # fmt: skip
    assert load_state(context.store, "classifier").told == (
        "Drift: brightness",
        "What serves: model server",
        "What serves: registry",
    )


@pytest.mark.slow
def test_drift_starts_a_retraining_once_where_that_is_asked_for(set_up_version, run_monitor, retrain_runs):
    context = set_up_version(brighter=15, retrain_on_drift=True)
    context.store.put("snapshots/latest.json", json.dumps({"snapshot_id": "s2"}).encode())

    _, first = run_monitor()
    _, second = run_monitor()
    context.store.delete("monitoring/classifier/state.json")
    # Nothing is remembered any more, but the name is taken.
    _, third = run_monitor()

    assert retrain_runs().count(("drift_of_version_1", "queued")) == 1
    assert [states["retrain"] for states in (first, second, third)] == ["success", "skipped", "skipped"]
