import json
import subprocess
import sys
from pathlib import Path

import pytest

from ml.errors import ConfigError
from plugins.gpu_pod import gpu_pod_arguments

ROOT = Path(__file__).resolve().parents[2]
VARIABLE = "QUARTET_GPU_POD"
WANTED = {
    "image": "registry.example/quartet/gpu:1",
    "gpus": 2,
    "cpu": "4",
    "memory": "24Gi",
    "node_selector": {"nvidia.com/gpu.product": "H100"},
    "tolerations": [{"key": "dedicated", "operator": "Equal", "value": "gpu", "effect": "NoSchedule"}],
    "runtime_class": "nvidia",
}
GPU_TASKS = {"list_missing", "extract", "tune", "train", "evaluate", "examine", "publish", "review_labels"}


@pytest.fixture
def fresh_tasks(monkeypatch):
    """DAGs share tasks that are made when their module is imported; it is imported anew."""
    import plugins.promotion_tasks

    monkeypatch.delitem(sys.modules, "plugins.promotion_tasks")
    monkeypatch.delattr(plugins, "promotion_tasks")


def override(document):
    return gpu_pod_arguments("gpu", {VARIABLE: json.dumps(document)})["executor_config"]["pod_override"]


@pytest.mark.parametrize("text", ["", "  "])
def test_no_pod_where_the_variable_is_unset(text):
    assert gpu_pod_arguments("gpu", {}) == gpu_pod_arguments("gpu", {VARIABLE: text}) == {}


@pytest.mark.parametrize("queue", [None, "default"])
def test_no_pod_for_other_queues(queue):
    assert gpu_pod_arguments(queue, {VARIABLE: "{}"}) == {}


def test_kubernetes_client_is_not_imported_for_nothing():
    read = "import sys; import plugins.tasks; print('kubernetes' in sys.modules)"
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", read], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert result.stdout.split()[-1] == "False"


def test_pod_by_default_has_one_gpu_and_bears_the_taint_of_gpu_nodes():
    spec = override({}).spec

    (container,) = spec.containers
    assert (container.name, container.image) == ("base", None)
    assert container.resources.limits == container.resources.requests == {"nvidia.com/gpu": "1"}
    assert [toleration.key for toleration in spec.tolerations] == ["nvidia.com/gpu"]


def test_pod_is_laid_over_the_template_of_the_other_tasks():
    from airflow.providers.cncf.kubernetes.pod_generator import PodGenerator
    from kubernetes.client import models

    template = models.V1Pod(
        metadata=models.V1ObjectMeta(labels={"tier": "airflow"}),
        spec=models.V1PodSpec(
            service_account_name="airflow-worker",
            containers=[
                models.V1Container(
                    name="base", image="quartet/worker:1", env=[models.V1EnvVar(name="QUARTET_CONFIG", value="file")]
                )
            ],
        ),
    )

    pod = PodGenerator.reconcile_pods(template, override(WANTED))

    (container,) = pod.spec.containers
    assert container.image == "registry.example/quartet/gpu:1"
    assert [variable.name for variable in container.env] == ["QUARTET_CONFIG"]
    assert container.resources.limits == {"nvidia.com/gpu": "2", "memory": "24Gi"}
    assert container.resources.requests == {"nvidia.com/gpu": "2", "memory": "24Gi", "cpu": "4"}
    assert pod.spec.node_selector == {"nvidia.com/gpu.product": "H100"}
    assert pod.spec.tolerations[0].to_dict().items() >= WANTED["tolerations"][0].items()
    assert (pod.spec.runtime_class_name, pod.spec.service_account_name) == ("nvidia", "airflow-worker")
    assert pod.metadata.labels == {"tier": "airflow", "quartet/queue": "gpu"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1", "Input should be an object"),
        ("{", "Invalid JSON"),
        ('{"gpus": 0}', "gpus"),
        ('{"memory": "16 GB"}', "memory"),
        ('{"gpu": 1}', "gpu: Extra inputs"),
        ('{"tolerations": [{"effect": "Never"}]}', "tolerations.0.effect"),
    ],
)
def test_what_is_no_pod_is_refused(text, said):
    with pytest.raises(ConfigError, match=VARIABLE) as caught:
        gpu_pod_arguments("gpu", {VARIABLE: text})

    assert said in caught.value.message
    assert "image, gpus, resource" in caught.value.remedy


def test_missing_client_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "kubernetes.client", None)

    with pytest.raises(ConfigError, match="extra `stack`"):
        gpu_pod_arguments("gpu", {VARIABLE: "{}"})


@pytest.mark.parametrize("variable", [None, json.dumps(WANTED)], ids=["off", "on"])
def test_tasks_of_the_gpu_queue_have_the_pod(load_dag, fresh_tasks, monkeypatch, variable):
    from airflow.serialization.serialized_objects import DagSerialization

    if variable:
        monkeypatch.setenv(VARIABLE, variable)

    dag = DagSerialization.from_dict(DagSerialization.to_dict(load_dag("retrain")))

    configs = {task.task_id: task.executor_config for task in dag.tasks}
    with_pod = {name for name, config in configs.items() if "pod_override" in config}
    assert with_pod == (GPU_TASKS if variable else set())
    assert {task.task_id for task in dag.tasks if task.queue == "gpu"} == GPU_TASKS
    if variable:
        assert configs["train"]["pod_override"].spec.containers[0].resources.limits["nvidia.com/gpu"] == "2"


def test_tasks_of_the_gpu_queue_can_have_an_executor_of_their_own(load_dag, fresh_tasks, monkeypatch):
    # One that Airflow has here: it refuses DAGs that name another.
    monkeypatch.setenv(VARIABLE, '{"executor": "LocalExecutor"}')

    dag = load_dag("retrain")

    assert {task.executor for task in dag.tasks if task.queue == "gpu"} == {"LocalExecutor"}
    assert {task.executor for task in dag.tasks if task.queue != "gpu"} == {None}


def test_wrong_pod_stops_the_dag_where_people_see_it(airflow_database, monkeypatch):
    from airflow.dag_processing.dagbag import DagBag

    monkeypatch.syspath_prepend(str(ROOT))
    monkeypatch.setenv(VARIABLE, '{"gpus": "many"}')

    (error,) = DagBag(str(ROOT / "dags" / "retrain.py")).import_errors.values()

    assert "QUARTET_GPU_POD" in error
