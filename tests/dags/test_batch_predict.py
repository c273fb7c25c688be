"""The DAG runs in this process, with the real steps, a real store and a real model server."""

from __future__ import annotations

import io
import json

import numpy as np
import PIL.Image
import pyarrow.parquet as pq
import pytest

from contract_model import COLOURS, expected, save_contract_model
from labelled_servers import labelled_server, write_model_config

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # Airflow's own modules warn when tasks import them here
]


def pixels_of(seed):
    return np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    save_contract_model(folder, 4)
    config = folder / "models.config"
    write_model_config(config, "colours", folder, [4], stable=4)
    with labelled_server("colours", config) as server:
        yield server


@pytest.fixture
def context(set_up, server):
    ports = {"grpc_port": server.grpc_port, "rest_port": server.rest_port}
    context = set_up(model_name="colours", serving=ports)
    for seed in range(25):
        stream = io.BytesIO()
        PIL.Image.fromarray(pixels_of(seed)).save(stream, "PNG")
        context.store.put(f"incoming/{seed:02d}.png", stream.getvalue())
    return context


@pytest.fixture
def run(load_dag):
    """Run the DAG to its end; returns the run and each task's state."""

    def run(**conf):
        dag = load_dag("batch_predict")
        for task in dag.tasks:
            task.retries = 0
        dag.deadline = None  # apache/airflow#73428: dag.test() cannot write it down
        dag_run = dag.test(run_conf=conf)
        return dag_run, {(one.task_id, one.map_index): str(one.state) for one in dag_run.get_task_instances()}

    return run


def test_a_prefix_becomes_a_batch_of_parquet_files(context, run):
    dag_run, states = run(prefix="incoming/", name="monday", shard_size=10)

    assert str(dag_run.state) == "success"
    assert set(states) == {
        ("plan_predictions", -1),
        *(("predict_shard", number) for number in range(3)),
        ("publish_predictions", -1),
    }
    document = json.loads(context.store.get("predictions/monday/batch.json"))
    assert (document["images"], document["version"], document["statuses"]) == (25, 4, {"OK": 25})
    parts = [context.store.get(f"predictions/monday/{part}") for part in document["parts"]]
    rows = [row for part in parts for row in pq.read_table(io.BytesIO(part)).to_pylist()]
    found = [[row[f"p_{name}"] for name in COLOURS] for row in rows]
    np.testing.assert_allclose(found, [expected(pixels_of(seed)) for seed in range(25)], atol=1e-6)


def test_a_batch_without_a_name_has_that_of_its_run(context, run):
    dag_run, _ = run(prefix="incoming/")

    (key,) = [info.key for info in context.store.list("predictions/") if info.key.endswith("batch.json")]
    assert json.loads(context.store.get(key))["batch_id"] == dag_run.run_id


def test_a_prefix_without_objects_fails_at_once(context, run):
    dag_run, states = run(prefix="nothing/")

    assert str(dag_run.state) == "failed"
    assert states["plan_predictions", -1] == "failed"
    assert states["publish_predictions", -1] == "upstream_failed"
