"""The DAG runs in this process, with the real steps, a run that was trained, a real store and a real model server."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from free_ports import free_ports
from local_stack import local_server
from ml.approval import ask_approval, load_decision
from ml.errors import QuartetError
from ml.promotions import load_changes, newest_change
from ml.steps import gate
from serving.client import GrpcClient

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # Airflow's own modules warn when tasks import them here
]

TASKS = ("order", "publish", "canary", "promote", "watch", "report")


@pytest.fixture
def context(cleared, set_up, tmp_path):
    """A copy of the trained run, which this gate rejects, and settings that ask for trial and watch."""
    before = Path(cleared["store"]["url"]).parent
    shutil.copytree(before / "store", tmp_path / "store")
    shutil.copy(before / "mlflow.db", tmp_path)
    grpc_port, rest_port = free_ports(2)
    own = {
        "store": {"url": str(tmp_path / "store"), "cache_dir": str(tmp_path / "cache")},
        "tracking_uri": f"sqlite:///{tmp_path / 'mlflow.db'}",
        "gate": {"min_macro_f1": 1.0},
        "serving": {"model_dir": str(tmp_path / "served"), "grpc_port": grpc_port, "rest_port": rest_port},
        "promotion": {
            "validation": {"images": 2},
            "canary": {"images": 4, "max_latency_ratio": None},
            "watch": {"seconds": 0.5, "interval_seconds": 0.2, "images": 2, "max_latency_ratio": None},
        },
    }
    context = set_up(**cleared | own)
    context.store.delete("runs/run/approval.json")
    assert not gate.run(context, "run")["promoted"]
    return context


@pytest.fixture
def run(load_dag):
    def run(**conf):
        dag = load_dag("promote")
        for task in dag.tasks:
            task.retries = 0
        dag.deadline = None  # apache/airflow#73428: dag.test() cannot write it down
        dag_run = dag.test(run_conf=conf)
        return {one.task_id: str(one.state) for one in dag_run.get_task_instances()}

    return run


@pytest.fixture
def at_work(load_dag):
    """Lets Airflow think that the trained run is one of `retrain` that goes on."""
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session
    from airflow.utils.types import DagRunType

    when = datetime.now(UTC)
    with create_session() as session:
        session.add(DagRun("retrain", run_id="run", run_type=DagRunType.MANUAL, run_after=when, state="running"))
    yield
    with create_session() as session:
        session.query(DagRun).filter(DagRun.dag_id == "retrain", DagRun.run_id == "run").delete()


REFUSED = {"order": "failed"} | dict.fromkeys(TASKS[1:], "upstream_failed")


def test_a_rejected_winner_is_promoted_against_the_gate_and_serves(context, run, tmp_path):
    with local_server(tmp_path), GrpcClient.from_settings(context.settings) as client:
        states = run(retrain_id="run", reason="shown to the ward on Monday", against_the_gate=True)

        assert states == dict.fromkeys(TASKS, "success")
        assert client.metadata(label="stable").version == 1
    changes = load_changes(context.store, "classifier")
    assert [(one.action, one.version, one.by) for one in changes] == [
        ("canary", 1, "pipeline"),
        ("promote", 1, "dag_test"),
    ]
    assert changes[-1].reason.startswith("Against the gate: shown to the ward on Monday. Rules missed: macro F1")
    assert "Promoted as version 1, against the gate" in context.store.get("runs/run/report.html").decode()


def test_without_that_word_the_gates_rejection_stands(context, run):
    assert run(retrain_id="run", reason="shown to the ward on Monday") == REFUSED
    assert newest_change(context.store, "classifier") is None
    assert context.store.head("runs/run/order.json") is None


@pytest.mark.parametrize("asked", [False, True], ids=["at-work", "waiting-for-approval"])
def test_what_goes_on_in_airflow_is_left_to_it(context, run, at_work, capfd, asked):
    if asked:
        ask_approval(context.store, "run", load_decision(context.store, "run"), datetime.now(UTC))

    assert run(retrain_id="run", reason="shown to the ward on Monday", against_the_gate=True) == REFUSED
    said = "Run run waits for a person's approval right now." if asked else "Run run is still at work."
    assert said in capfd.readouterr().out


@pytest.mark.parametrize(
    ("conf", "said"),
    [
        ({"retrain_id": "run"}, "reason"),
        ({"retrain_id": "run", "reason": "no"}, "reason"),
        ({"reason": "shown to the ward"}, "retrain_id"),
        ({"retrain_id": "run", "reason": "shown to the ward", "against_the_gate": "very"}, "against_the_gate"),
    ],
    ids=["no-reason", "too-short", "no-run", "not-a-yes-or-no"],
)
def test_a_form_that_lacks_something_is_refused(load_dag, run, conf, said):
    with pytest.raises(Exception, match=said) as caught:
        run(**conf)
    assert not isinstance(caught.value, QuartetError)
