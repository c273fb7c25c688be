"""Both DAGs run in this process, on drawn images and a tiny model, with the real steps and stores."""

import json
import logging
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ml.layout import run_key, safe_run_id
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


@pytest.fixture
def buttons(load_dag):
    """The buttons of a run's tasks, with their addresses, as Airflow's web server finds them."""
    from airflow.serialization.serialized_objects import DagSerialization

    def find(dag_run):
        dag = DagSerialization.from_dict(DagSerialization.to_dict(load_dag(dag_run.dag_id)))
        found = {}
        for instance in dag_run.get_task_instances():
            task = dag.get_task(instance.task_id)
            found |= {(task.task_id, name): task.get_extra_links(instance, name) for name in task.extra_links}
        return found

    return find


def made(caplog, folder):
    """What the last lines of the tasks' logs name in the store, and whether it is there."""
    lines = [record.getMessage() for record in caplog.records if record.name == "quartet.task"]
    paths = [re.search(rf", in ({re.escape(str(folder))}[^;]*)", line) for line in lines if line.startswith("made: ")]
    return {found[1].removeprefix(f"{folder}/"): Path(found[1]).exists() for found in paths if found}


def test_images_are_ingested_trained_on_and_promoted(set_up, run_dag, last_event, buttons, http_sink, caplog, tmp_path):
    context = set_up(WEAK_GATE, alerts={"webhook": {"url": http_sink.url}})
    caplog.set_level(logging.INFO, "quartet.task")
    drawn = upload_phantoms(context, tmp_path / "images")

    ingest, ingested = run_dag("ingest_images", datetime(2026, 1, 1, tzinfo=UTC))
    run, trained = run_dag("retrain")

    assert ingested == STATES
    assert (trained.pop("tune[0]"), trained.pop("tune[1]")) == ("skipped", "skipped")
    assert trained == dict.fromkeys(
        (
            "split",
            "anything_changed",
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
    (alert,) = (alert for alert in http_sink.bodies if alert["severity"] == "info")
    assert alert["title"] == "retrain: version 1 is the champion"
    facts = {fact["name"]: fact["value"] for fact in alert["facts"]}
    assert (facts["version"], facts["variant"]) == ("1", champion.variant)
    assert "95 % interval" in facts["macro F1"]
    assert (facts["champion before"], facts["decided by"]) == ("none: it is the first", "gate")
    told = made(caplog, tmp_path / "store")
    assert all(told.values())
    assert {name.split("/")[0] for name in told} == {"arrivals", "snapshots", "landing", "runs", "models", "promotions"}
    shown = buttons(ingest) | buttons(run)
    page = f"/quartet/snapshots/{record['snapshot_id']}/report"
    assert shown["validate", "Snapshot's page"] == shown["publish_snapshot", "Snapshot's page"] == f"{page}/index.html"
    assert shown["validate", "Data Docs"] == f"{page}/gx/index.html"
    assert shown["report", "Run's page"] == f"/quartet/runs/{safe_run_id(run.run_id)}/report.html"
    assert shown["promote", "Models"] == "/plugin/models"
    # A database of MLflow's has no pages.
    assert {key for key, address in shown.items() if not address} == {
        ("train", "MLflow run"),
        ("evaluate", "MLflow run"),
    }
    event = last_event("snapshot")
    assert (event["snapshot_id"], event["parent"], event["images"]) == (record["snapshot_id"], None, drawn.good)
    assert sum(event["splits"].values()) == sum(event["classes"].values()) == drawn.good
    assert event["classes"].keys() == {"glioma", "meningioma", "notumor", "pituitary"}
    event = last_event("champion")
    evaluation = json.loads(context.store.get(f"runs/{safe_run_id(run.run_id)}/evaluation.json"))
    assert (event["action"], event["version"], event["before"]) == ("promote", 1, None)
    assert (event["run_id"], event["snapshot_id"], event["by"]) == (run.run_id, record["snapshot_id"], "gate")
    assert event["macro_f1"] == evaluation["leaderboard"][0]["macro_f1"]


OVERRIDES = {"epochs": 1, "attention": "without", "min_macro_f1": 0.99, "approval": "ask"}


def test_second_retrain_extracts_nothing_and_a_rejected_one_still_gets_its_report(
    set_up, run_dag, http_sink, tmp_path, caplog
):
    """The second one with settings of its own; between them one to which nothing has changed."""
    context = set_up({"min_macro_f1": 1.0}, alerts={"webhook": {"url": http_sink.url}})
    upload_phantoms(context, tmp_path / "images")
    run_dag("ingest_images")
    first, states = run_dag("retrain", conf={"variants": ["narrow"]})
    shards = [info.key for info in context.store.list("features/")]

    with caplog.at_level("INFO", "ml.steps.anything_changed"):
        _, unchanged = run_dag("retrain", conf={"variants": ["narrow"], "reason": "why not"})
    second, repeated = run_dag("retrain", conf={"variants": ["narrow"], "reason": "to see it", **OVERRIDES})

    assert (states["gate"], states["approve"]) == ("success", "success")
    assert (states["publish"], states["promote"], states["report"]) == ("skipped", "skipped", "success")
    assert shards
    assert [info.key for info in context.store.list("features/")] == shards
    assert Registry(context.settings).champion() is None
    pages = [info.key for info in context.store.list("runs/") if info.key.endswith("report.html")]
    assert len(pages) == 2
    assert first.run_id != second.run_id
    assert (repeated["extract"], repeated["train[0]"]) == ("skipped", "success")
    # The second run was rejected for the same reason within the hour.
    assert [alert["title"] for alert in http_sink.bodies] == ["retrain: narrow is not promoted"]
    assert http_sink.bodies[0]["facts"][0]["name"] == "macro F1"
    assert " short)" in http_sink.bodies[0]["facts"][0]["value"]
    page, kept, *_ = (link["address"] for link in http_sink.bodies[0]["links"])
    assert kept in {context.store.uri(key) for key in pages}
    assert page.partition("/quartet/runs/")[2] == kept.rpartition("/runs/")[2]
    assert_nothing_was_done(unchanged)
    assert f"(why not): nothing changed since run {first.run_id}, and the gate rejected narrow." in caplog.text
    assert_trained_with_its_own_settings(context, second.run_id)


def assert_nothing_was_done(states):
    ran = {task for task, state in states.items() if state == "success"}
    assert ran == {"split", "anything_changed"}
    assert {state for task, state in states.items() if task not in ran} == {"skipped"}


def assert_trained_with_its_own_settings(context, run_id):
    def read(name):
        return json.loads(context.store.get(run_key(run_id, name)))

    record, decision = read("narrow/candidate.json"), read("decision.json")
    assert (record["attention"], record["best_epoch"]) == (False, 1)
    assert (record["settings"]["train"]["epochs"], record["settings"]["train"]["attention"]) == (1, False)
    assert [row["variant"] for row in read("evaluation.json")["leaderboard"]] == ["narrow"]
    assert [rule["required"] for rule in decision["rules"] if rule["name"] == "macro F1"] == ["at least 0.99"]
    told = (
        "gate.min_macro_f1 is 0.99 instead of 1.0; a person is asked before a promotion, which the settings do without"
    )
    assert told in decision["reason"]
    page = context.store.get(run_key(run_id, "report.html")).decode()
    assert "train.epochs is 1 instead of 2" in page
    assert "asked for by dag_test (to see it)" in page


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


def test_a_field_that_there_is_not_fails_the_run_at_once(set_up, run_dag, caplog):
    set_up(WEAK_GATE)

    run, states = run_dag("retrain", conf={"epoch": 3})

    assert str(run.state) == "failed"
    assert states["split"] == "failed"
    assert "'epoch' cannot be chosen for a run. Remedy: Known: attention, epochs, " in caplog.text


def test_empty_landing_zone_fails_at_once(set_up, run_dag):
    set_up(WEAK_GATE)

    run, states = run_dag("ingest_images")

    assert str(run.state) == "failed"
    assert states["list_arrivals"] == "failed"
