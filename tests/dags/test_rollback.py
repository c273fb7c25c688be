"""The DAG runs in this process, with the real steps, a real store and a real model server."""

from __future__ import annotations

import pytest

from free_ports import free_ports
from local_stack import append, local_server
from ml.errors import QuartetError
from ml.promotions import newest_change
from serving.client import GrpcClient
from serving.trial import wait_for_label
from tiny_classifiers import publish_version

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # Airflow's own modules warn when tasks import them here
]


@pytest.fixture
def context(set_up, tmp_path):
    grpc_port, rest_port = free_ports(2)
    serving = {"model_dir": str(tmp_path / "served"), "grpc_port": grpc_port, "rest_port": rest_port}
    database = f"sqlite:///{tmp_path / 'mlflow.db'}"
    return set_up(model_name="m", serving=serving, tracking_uri=database)


@pytest.fixture
def run(load_dag):
    def run(**conf):
        dag = load_dag("rollback")
        for task in dag.tasks:
            task.retries = 0
        dag.deadline = None  # apache/airflow#73428: dag.test() cannot write it down
        dag_run = dag.test(run_conf=conf)
        return dag_run, {one.task_id: str(one.state) for one in dag_run.get_task_instances()}

    return run


def test_the_version_before_serves_again_and_the_reason_is_kept(context, run, last_event, tmp_path):
    for version in (1, 2):
        append(context.settings, publish_version(context.store, "m", version, tmp_path), "promote")
    with local_server(tmp_path), GrpcClient.from_settings(context.settings) as client:
        wait_for_label(client, "stable", 2, 60)

        dag_run, states = run(reason="worse on Mondays")

        assert states == {"roll_back": "success", "confirm": "success"}
        assert client.metadata().version == 1
    change = newest_change(context.store, "m")
    assert (change.action, change.reason, change.by) == ("rollback", "worse on Mondays", "dag_test")
    assert str(dag_run.state) == "success"
    event = last_event("champion")
    assert (event["action"], event["version"], event["before"]) == ("rollback", 1, 2)
    assert (event["reason"], event["by"], event["number"]) == ("worse on Mondays", "dag_test", 3)


def test_with_nothing_to_go_back_to_the_run_fails_and_nothing_is_recorded(context, run):
    dag_run, states = run(reason="worse on Mondays")

    assert str(dag_run.state) == "failed"
    assert states == {"roll_back": "failed", "confirm": "upstream_failed"}
    assert newest_change(context.store, "m") is None


def test_a_form_without_a_reason_is_refused(context, run):
    with pytest.raises(Exception, match="reason") as caught:
        run(reason="")
    assert not isinstance(caught.value, QuartetError)
