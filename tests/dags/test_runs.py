"""Both DAGs run in this process, on drawn images and a tiny model, with the real steps and stores."""

import json
from datetime import UTC, datetime

import pytest

from ml.layout import safe_run_id
from ml.phantom import draw_phantoms
from ml.promotions import find_champion
from ml.registry import Registry
from ml.upload import upload_folder

pytestmark = [
    pytest.mark.slow,
    # Airflow's and MLflow's own modules warn when tasks import them here.
    pytest.mark.filterwarnings("ignore"),
]

AFTER_ASSEMBLY = ("describe", "validate", "publish_snapshot", "clear_landing")
STATES = dict.fromkeys(("list_arrivals", "take_in[0]", "assemble", "anything_new", *AFTER_ASSEMBLY), "success")
WEAK_GATE = {"min_macro_f1": 0.0, "champion_margin": 0}


@pytest.fixture
def set_up(set_up, tmp_path):
    """Write settings for two narrow variants that train in seconds; returns the context that the tasks will see."""

    def write(gate, **sections):
        quick = {
            "variants": {
                "narrow": {"backbone": "mobilenet", "alpha": 0.25},
                "wide": {"backbone": "mobilenet", "alpha": 0.5},
            },
            "weights": "random",
            "train": {"epochs": 2, "units": 16, "heads": 2, "key_dim": 8},
            "validation": {"min_images_per_class": 3},
            "gate": gate,
            "tracking_uri": f"sqlite:///{tmp_path / 'mlflow.db'}",
            "artifact_uri": str(tmp_path / "artifacts"),
        }
        return set_up(**quick | sections)

    return write


@pytest.fixture
def run_dag(load_dag):
    """Run a DAG to its end; returns each task's state, mapped ones with their index."""

    def run(dag_id, logical_date=None, conf=None):
        dag = load_dag(dag_id)
        for task in dag.tasks:
            task.retries = 0
        dag.deadline = None  # apache/airflow#73428: dag.test() cannot write it down
        dag_run = dag.test(logical_date=logical_date, run_conf=conf)
        states = {
            instance.task_id if instance.map_index < 0 else f"{instance.task_id}[{instance.map_index}]": str(
                instance.state
            )
            for instance in dag_run.get_task_instances()
        }
        return dag_run, states

    return run


def upload_phantoms(context, folder, images_per_class=10):
    drawn = draw_phantoms(folder, images_per_class)
    upload_folder(context.store, folder)
    return drawn


def test_images_are_ingested_trained_on_and_promoted(set_up, run_dag, last_event, tmp_path):
    context = set_up(WEAK_GATE)
    drawn = upload_phantoms(context, tmp_path / "images")

    _, ingested = run_dag("ingest_images", datetime(2026, 1, 1, tzinfo=UTC))
    run, trained = run_dag("retrain")

    assert ingested == STATES
    assert (trained.pop("tune[0]"), trained.pop("tune[1]")) == ("skipped", "skipped")
    assert trained == dict.fromkeys(
        (
            "split",
            "list_missing",
            "extract[0]",
            "train[0]",
            "train[1]",
            "evaluate",
            "gate",
            "examine",
            "approve",
            "review_labels",
            "publish",
            "canary",
            "promote",
            "watch",
            "report",
        ),
        "success",
    )
    champion = find_champion(context.store, context.settings.model_name)
    assert champion is not None
    assert Registry(context.settings).champion() == champion.version
    assert (champion.version, champion.run_id) == (1, run.run_id)
    record = json.loads(context.store.get("snapshots/latest.json"))
    snapshot = json.loads(context.store.get(f"snapshots/{record['snapshot_id']}/snapshot.json"))
    assert snapshot["images"] == drawn.good
    assert context.store.head("models/classifier/1/SHA256SUMS") is not None
    event = last_event("snapshot")
    assert (event["snapshot_id"], event["parent"], event["images"]) == (record["snapshot_id"], None, drawn.good)
    assert sum(event["splits"].values()) == sum(event["classes"].values()) == drawn.good
    assert event["classes"].keys() == {"glioma", "meningioma", "notumor", "pituitary"}
    event = last_event("champion")
    evaluation = json.loads(context.store.get(f"runs/{safe_run_id(run.run_id)}/evaluation.json"))
    assert (event["action"], event["version"], event["before"]) == ("promote", 1, None)
    assert (event["run_id"], event["snapshot_id"], event["by"]) == (run.run_id, record["snapshot_id"], "gate")
    assert event["macro_f1"] == evaluation["leaderboard"][0]["macro_f1"]


def test_second_retrain_extracts_nothing_and_a_rejected_one_still_gets_its_report(set_up, run_dag, http_sink, tmp_path):
    context = set_up({"min_macro_f1": 1.0, "approval": {}}, alerts={"webhook": {"url": http_sink.url}})
    upload_phantoms(context, tmp_path / "images")
    run_dag("ingest_images")
    first, states = run_dag("retrain", conf={"variants": ["narrow"]})
    shards = [info.key for info in context.store.list("features/")]

    second, repeated = run_dag("retrain", conf={"variants": ["narrow"]})

    assert (states["gate"], states["approve"]) == ("success", "success")
    assert (states["publish"], states["promote"], states["report"]) == ("skipped", "skipped", "success")
    assert shards
    assert [info.key for info in context.store.list("features/")] == shards
    assert Registry(context.settings).champion() is None
    pages = [info.key for info in context.store.list("runs/") if info.key.endswith("report.html")]
    assert len(pages) == 2
    assert first.run_id != second.run_id
    assert (repeated["extract"], repeated["train[0]"]) == ("skipped", "success")
    assert [alert["title"] for alert in http_sink.bodies] == ["retrain: narrow is not promoted"] * 2
    assert http_sink.bodies[0]["facts"][0]["name"] == "macro F1"
    assert " short)" in http_sink.bodies[0]["facts"][0]["value"]
    assert http_sink.bodies[0]["links"][0]["address"] in {context.store.uri(key) for key in pages}


def test_a_run_may_search_for_hyper_parameters(set_up, run_dag, tmp_path):
    context = set_up({"min_macro_f1": 1.0})
    upload_phantoms(context, tmp_path / "images")
    run_dag("ingest_images")

    _, states = run_dag("retrain", conf={"variants": ["narrow"], "trials": 3})

    assert (states["tune[0]"], states["train[0]"]) == ("success", "success")
    (found,) = (info.key for info in context.store.list("runs/") if info.key.endswith("narrow/tuning.json"))
    search = json.loads(context.store.get(found))
    record = json.loads(context.store.get(found.replace("tuning.json", "candidate.json")))
    assert len(search["trials"]) == 3
    assert search["changes"].items() <= record["settings"]["train"].items()


def test_nothing_new_ends_the_run_without_a_snapshot(set_up, run_dag, tmp_path):
    context = set_up(WEAK_GATE)
    upload_phantoms(context, tmp_path / "images")
    run_dag("ingest_images")
    before = [info.key for info in context.store.list("snapshots/")]

    _, states = run_dag("ingest_images")

    unmapped = {task: state for task, state in STATES.items() if task != "take_in[0]"}
    assert states == unmapped | dict.fromkeys(("take_in", *AFTER_ASSEMBLY), "skipped")
    assert [info.key for info in context.store.list("snapshots/")] == before


def test_data_that_fails_validation_is_not_published(set_up, run_dag, tmp_path):
    context = set_up(WEAK_GATE, validation={"min_images_per_class": 50})
    upload_phantoms(context, tmp_path / "images")

    run, states = run_dag("ingest_images")

    assert str(run.state) == "failed"
    assert (states["validate"], states["publish_snapshot"]) == ("failed", "upstream_failed")
    assert context.store.head("snapshots/latest.json") is None


def test_empty_landing_zone_fails_at_once(set_up, run_dag):
    set_up(WEAK_GATE)

    run, states = run_dag("ingest_images")

    assert str(run.state) == "failed"
    assert states["list_arrivals"] == "failed"
