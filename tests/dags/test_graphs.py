import pytest

GRAPHS = {
    "ingest_images": {
        "list_arrivals": {"take_in"},
        "take_in": {"assemble"},
        "assemble": {"anything_new", "describe", "validate"},
        "anything_new": {"describe"},
        "describe": {"validate"},
        "validate": {"publish_snapshot"},
        "publish_snapshot": {"clear_landing"},
        "clear_landing": set(),
    },
    "retrain": {
        "split": {"list_missing", "tune", "train"},
        "list_missing": {"extract"},
        "extract": {"tune"},
        "tune": {"train"},
        "train": {"evaluate"},
        "evaluate": {"examine", "review_labels"},
        "examine": {"gate"},
        "gate": {"approve"},
        "approve": {"publish"},
        "review_labels": {"report"},
        "publish": {"canary"},
        "canary": {"promote"},
        "promote": {"watch"},
        "watch": {"report"},
        "report": set(),
    },
    "batch_predict": {
        "plan_predictions": {"predict_shard"},
        "predict_shard": {"publish_predictions"},
        "publish_predictions": set(),
    },
    "rollback": {"roll_back": {"confirm"}, "confirm": set()},
}
#: Reads all cached maps, whose local copies lie where they were made.
NEEDS_THE_MAPS = {"review_labels"}
NEED_THE_ACCELERATOR = {"list_missing", "extract", "tune", "train", "evaluate", "examine", "publish"}


@pytest.mark.parametrize("dag_id", GRAPHS)
def test_graph_is_exactly_what_the_documentation_shows(load_dag, dag_id):
    dag = load_dag(dag_id)

    assert {task.task_id: set(task.downstream_task_ids) for task in dag.tasks} == GRAPHS[dag_id]


@pytest.mark.parametrize("dag_id", GRAPHS)
def test_dag_and_every_task_explain_themselves(load_dag, dag_id):
    dag = load_dag(dag_id)

    assert all(task.doc_md for task in dag.tasks)
    assert all(f"`{task.task_id}`" in dag.doc_md for task in dag.tasks if task.task_id != "anything_new")


def test_a_snapshot_starts_retrain_and_what_is_new_or_the_clock_starts_ingest(load_dag):
    ingest = load_dag("ingest_images").schedule

    assert [asset.name for asset in load_dag("retrain").schedule] == ["snapshot"]
    assert ([asset.name for asset in ingest.asset_condition.objects], ingest.timetable.expression) == (
        ["landing zone"],
        "0 0 * * *",
    )
    assert all(load_dag(dag_id).schedule is None for dag_id in ("batch_predict", "rollback"))


def test_the_landing_zone_is_watched_every_minute(load_dag):
    (asset,) = load_dag("ingest_images").schedule.asset_condition.objects
    (watcher,) = asset.watchers

    assert watcher.trigger.serialize() == ("plugins.landing_watcher.LandingTrigger", {"poll_seconds": 60.0})


def test_assets_lead_from_the_landing_zone_to_champion_and_predictions(load_dag):
    steps = {
        (inlet.name, outlet.name): task.task_id
        for dag_id in GRAPHS
        for task in load_dag(dag_id).tasks
        for inlet in task.inlets
        for outlet in task.outlets
    }

    assert steps == {
        ("landing zone", "snapshot"): "publish_snapshot",
        ("snapshot", "champion"): "promote",
        ("champion", "predictions"): "publish_predictions",
    }


def test_assets_come_from_publishing_and_promoting_only(load_dag):
    outlets = {
        (dag_id, task.task_id): [asset.name for asset in task.outlets]
        for dag_id in GRAPHS
        for task in load_dag(dag_id).tasks
        if task.outlets
    }

    assert outlets == {
        ("ingest_images", "publish_snapshot"): ["snapshot"],
        ("retrain", "promote"): ["champion"],
        ("batch_predict", "publish_predictions"): ["predictions"],
        ("rollback", "roll_back"): ["champion"],
    }


def test_a_run_at_a_time_and_limits_on_time(load_dag):
    for dag_id in GRAPHS:
        dag = load_dag(dag_id)
        assert dag.max_active_runs == 1
        assert dag.dagrun_timeout is not None
        assert all(task.execution_timeout is not None for task in dag.tasks)


def test_what_computes_waits_for_the_accelerator_and_nothing_else_does(load_dag):
    dag = load_dag("retrain")

    assert {task.task_id for task in dag.tasks if task.pool == "gpu"} == NEED_THE_ACCELERATOR
    assert {task.task_id for task in dag.tasks if task.queue == "gpu"} == NEED_THE_ACCELERATOR | NEEDS_THE_MAPS
    for dag_id in ("ingest_images", "batch_predict", "rollback"):
        assert {task.pool for task in load_dag(dag_id).tasks} == {"default_pool"}


def test_report_is_written_for_a_rejected_run_too(load_dag):
    dag = load_dag("retrain")

    assert dag.get_task("report").trigger_rule == "none_failed"


def test_heads_are_trained_when_there_was_nothing_to_extract(load_dag):
    dag = load_dag("retrain")

    tolerant = {task.task_id for task in dag.tasks if task.trigger_rule == "none_failed"}
    assert tolerant == {"tune", "train", "report"}
    assert {task.trigger_rule for task in dag.tasks if task.task_id not in tolerant} == {"all_success"}


def test_extraction_is_mapped_over_parts_and_training_over_variants(load_dag):
    dag = load_dag("retrain")

    mapped = {task.task_id: set(task.op_kwargs_expand_input.value) for task in dag.tasks if task.is_mapped}
    assert mapped == {"extract": {"part"}, "tune": {"variant"}, "train": {"variant"}}


def test_form_for_a_manual_run_asks_for_variants_snapshot_and_trials(load_dag):
    params = load_dag("retrain").params

    assert {name: params[name] for name in params} == {"variants": [], "snapshot_id": None, "trials": 0}


def test_form_for_a_rollback_asks_for_a_reason(load_dag):
    params = load_dag("rollback").params

    assert {name: params.get_param(name).value for name in params} == {"reason": "", "version": None}
    assert params.get_param("reason").schema["minLength"] == 3


def test_a_batch_is_mapped_over_its_shards_two_at_a_time(load_dag):
    dag = load_dag("batch_predict")

    task = dag.get_task("predict_shard")
    assert set(task.op_kwargs_expand_input.value) == {"shard"}
    assert task.max_active_tis_per_dagrun == 2


def test_form_for_a_batch_asks_for_images_a_name_and_the_size_of_shards(load_dag):
    params = load_dag("batch_predict").params

    assert {name: params[name] for name in params} == {"prefix": "incoming/", "name": None, "shard_size": 1000}
