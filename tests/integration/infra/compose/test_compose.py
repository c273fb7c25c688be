"""The compose stack runs: a demo, rights, dashboards, and a run in which its parts are killed one after the other."""

from __future__ import annotations

import json
import time

import pytest

from infra.monitoring.answers import Prometheus
from infra.monitoring.check import missing
from infra.monitoring.dashboards import load_dashboards

pytestmark = [pytest.mark.compose, pytest.mark.timeout(3600)]

#: Which service is killed while which task runs.
KILLS = {
    "list_missing": "redis",
    "train": "airflow-gpu-worker",
    "evaluate": "object-store",
    "examine": "airflow-scheduler",
}
RUN_SECONDS = 2400
VARIANTS = ("vgg16", "vgg19", "mobilenet", "xception")
#: Digests of what a run computed, by file.
LEFT = f"""
import hashlib, json
from ml.context import Context
from ml.layout import run_key
store = Context.from_environment().store
names = [(variant, file) for variant in {VARIANTS} for file in ("head.weights.h5", "predictions.parquet")]
digest = lambda name: hashlib.sha256(store.get(run_key({{run!r}}, *name))).hexdigest()
print(json.dumps({{{{"/".join(name): digest(name) for name in names}}}}))
"""
DATA_SECONDS = 180


def test_demo_ends_with_a_version_that_answers_as_its_model_does(demo):
    assert "Version 1 is served; it differs from the offline prediction by 0.0e+00 at most." in demo


def test_every_service_is_healthy_or_has_ended_well(project, demo):
    services = [json.loads(line) for line in project.compose("ps", "--all", "--format", "json").splitlines()]

    assert services
    for service in services:
        if service["State"] == "running":
            assert service["Health"] == "healthy", service["Service"]
        else:
            assert service["ExitCode"] == 0, service["Service"]


READ = "from ml.context import Context; c = Context.from_environment(); print(len(c.store.get({key!r})))"
WRITE = "from ml.context import Context; c = Context.from_environment(); c.store.put({key!r}, b'x'); print('written')"


@pytest.mark.parametrize(
    ("user", "code", "allowed"),
    [
        pytest.param("uploader", WRITE.format(key="landing/glioma/new.txt"), True, id="uploader brings images"),
        pytest.param("uploader", READ.format(key="snapshots/latest.json"), False, id="uploader reads no snapshot"),
        pytest.param("uploader", WRITE.format(key="promotions/brain-mri/99999999.json"), False, id="nor promotes"),
        pytest.param("reader", READ.format(key="snapshots/latest.json"), True, id="reader reads"),
        pytest.param("reader", WRITE.format(key="landing/glioma/new.png"), False, id="reader does not write"),
        pytest.param("sync", READ.format(key="promotions/brain-mri/00000001.json"), True, id="sync reads the record"),
        pytest.param("sync", READ.format(key="snapshots/latest.json"), False, id="sync reads no snapshot"),
        pytest.param("sync", WRITE.format(key="models/brain-mri/9/x"), False, id="sync writes no model"),
        pytest.param("mlflow", READ.format(key="snapshots/latest.json"), False, id="mlflow keeps to its bucket"),
    ],
)
def test_users_of_the_object_store_may_do_what_they_have_to(demo, in_worker, secrets, user, code, allowed):
    secret = secrets[1][f"STORE_{user.upper()}_SECRET"]

    status, output = in_worker(code, AWS_ACCESS_KEY_ID=user, AWS_SECRET_ACCESS_KEY=secret)

    assert (status == 0) is allowed, output
    assert allowed or "refuses access" in output


def test_every_panel_of_every_dashboard_has_data(project, demo, secrets):
    project.compose("exec", "-T", "airflow-worker", "quartet", "monitor", "--remember")
    prometheus = Prometheus(f"http://127.0.0.1:{secrets[1]['QUARTET_PROMETHEUS_PORT']}", 3600)
    panels = [panel for dashboard in load_dashboards() for panel in dashboard.panels]
    deadline = time.monotonic() + DATA_SECONDS
    # The exporter looks every half minute, and Prometheus asks it as often.
    while (without := missing([prometheus.ask(panel) for panel in panels])) and time.monotonic() < deadline:
        time.sleep(10)

    assert not without


def test_a_run_whose_services_are_killed_one_after_the_other_ends_as_undisturbed(project, api, in_worker):
    undisturbed = api.latest_runs("retrain", 1)[0]
    run = api.trigger("retrain", {"force": True, "reason": "to see what a fault costs"})
    waiting = dict(KILLS)
    deadline = time.monotonic() + RUN_SECONDS
    while not (run := api.dag_run(run.dag_id, run.run_id)).finished:
        assert time.monotonic() < deadline, f"{run.run_id} has not ended; not killed yet: {waiting}"
        running = {task.task_id for task in api.task_instances(run.dag_id, run.run_id) if task.state == "running"}
        for task_id in running & set(waiting):
            project.kill(waiting.pop(task_id))
        time.sleep(1)

    assert not waiting
    assert run.state == "success"
    for service in KILLS.values():
        assert project.restarts(service) >= 1
    left = [json.loads(in_worker(LEFT.format(run=each.run_id))[1].splitlines()[-1]) for each in (undisturbed, run)]
    assert len(left[0]) == len(VARIANTS) * 2
    assert left[0] == left[1]
