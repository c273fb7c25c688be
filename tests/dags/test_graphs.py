"""Every DAG is exactly what it is meant to be: `expected_graphs` says what that is."""

from datetime import timedelta
from pathlib import Path

import pytest

from expected_graphs import EXPECTED
from plugins.links import EXTRA_LINKS
from plugins.retrying import RETRY_POLICY

ROOT = Path(__file__).parents[2]
EACH = pytest.mark.parametrize("dag_id", EXPECTED)


@pytest.fixture(scope="module")
def folder(airflow_database):
    """All of `dags/` at once, as the DAG processor finds it, in an environment without Quartet's variables."""
    from airflow.dag_processing.dagbag import DagBag

    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT))
        patch.setenv("AIRFLOW__API__BASE_URL", "http://airflow.example")
        patch.delenv("QUARTET_OWNER_LINK", raising=False)
        return DagBag(str(ROOT / "dags"))


@pytest.fixture
def dag(folder, dag_id):
    return folder.dags[dag_id]


def test_the_folder_has_the_dags_that_are_looked_at_here_and_no_others(folder):
    assert folder.import_errors == {}
    assert set(folder.dags) == set(EXPECTED) == {path.stem for path in (ROOT / "dags").glob("*.py")}


@EACH
def test_graph_is_exactly_what_the_documentation_shows(dag, dag_id):
    edges = {task.task_id: set(task.downstream_task_ids) for task in dag.tasks}

    assert edges == {task_id: task.after for task_id, task in EXPECTED[dag_id].tasks.items()}


@EACH
def test_tasks_stand_in_the_stages_of_the_design_under_their_own_ids(dag, dag_id):
    groups = {group_id: group for group_id, group in dag.task_group.get_task_group_dict().items() if group_id}
    members = {
        task_id: group_id for group_id, group in groups.items() for task_id in group.children if task_id not in groups
    }

    assert {group_id: group.group_display_name for group_id, group in groups.items()} == EXPECTED[dag_id].groups
    assert members == {task_id: task.group for task_id, task in EXPECTED[dag_id].tasks.items() if task.group}
    assert all(group.tooltip and not group.prefix_group_id for group in groups.values())


@EACH
def test_dag_and_every_task_have_names_for_people(dag, dag_id):
    expected = EXPECTED[dag_id]

    assert dag.dag_display_name == expected.name
    assert {task.task_id: task.task_display_name for task in dag.tasks} == {
        task_id: task.name for task_id, task in expected.tasks.items()
    }
    assert len({task.name for task in expected.tasks.values()}) == len(expected.tasks)


@EACH
def test_dag_and_every_task_explain_themselves(dag, dag_id):
    page = (ROOT / "docs" / "dags" / f"{dag_id}.md").read_text()

    for task in dag.tasks:
        assert task.doc_md
        assert task.doc_md.endswith((".", "`."))
        assert f"| `{task.task_id}` |" in dag.doc_md
        assert f"| `{task.task_id}` |" in page
    assert dag.doc_md.lstrip().startswith(f"# {EXPECTED[dag_id].name}")


@EACH
def test_dag_has_tags_and_an_owner_whom_a_link_leads_to(dag, dag_id):
    assert set(dag.tags) == EXPECTED[dag_id].tags
    assert {task.owner for task in dag.tasks} == {"quartet"}
    assert dag.owner_links == {"quartet": "http://airflow.example/plugin/models"}


@EACH
def test_mapped_tasks_are_mapped_over_what_their_label_names(dag, dag_id):
    mapped = {
        task.task_id: (set(task.op_kwargs_expand_input.value), task.map_index_template)
        for task in dag.tasks
        if task.is_mapped
    }

    assert mapped == {
        task_id: ({task.mapped}, task.label) for task_id, task in EXPECTED[dag_id].tasks.items() if task.mapped
    }


@EACH
def test_tasks_have_the_buttons_of_the_pages_that_they_have(dag, dag_id):
    buttons = {task.task_id: [link.name for link in task.operator_extra_links] for task in dag.tasks}

    assert buttons == {task_id: task.links for task_id, task in EXPECTED[dag_id].tasks.items()}


@EACH
def test_assets_come_from_the_tasks_that_publish_them(dag, dag_id):
    outlets = {task.task_id: [asset.name for asset in task.outlets] for task in dag.tasks}

    assert outlets == {task_id: task.outlets for task_id, task in EXPECTED[dag_id].tasks.items()}


@EACH
def test_one_run_at_a_time_within_limits_and_somebody_is_told_when_it_fails(dag, dag_id):
    expected = EXPECTED[dag_id]

    assert (dag.max_active_runs, dag.catchup) == (1, False)
    assert dag.dagrun_timeout == expected.timeout
    assert {task.task_id: task.execution_timeout for task in dag.tasks} == {
        task_id: task.timeout for task_id, task in expected.tasks.items()
    }
    assert dag.has_on_failure_callback
    assert all(task.has_on_failure_callback for task in dag.tasks)


@EACH
def test_every_task_is_retried_by_one_policy_and_ever_more_slowly(dag):
    for task in dag.tasks:
        assert task.retry_policy is RETRY_POLICY
        assert (task.retries, task.retry_delay) == (2, timedelta(seconds=30))
        # Not True: of a task that is not mapped Airflow takes that for a factor of one.
        assert task.retry_exponential_backoff == 2
        assert task.retry_exponential_backoff is not True
        assert task.max_retry_delay == timedelta(minutes=10)


@EACH
def test_what_computes_waits_for_the_accelerator_and_nothing_else_does(dag, dag_id):
    places = {
        task.task_id: (task.pool, task.queue, task.trigger_rule, task.max_active_tis_per_dagrun) for task in dag.tasks
    }

    assert places == {
        task_id: (task.pool, task.queue, task.trigger_rule, task.at_once)
        for task_id, task in EXPECTED[dag_id].tasks.items()
    }


@EACH
def test_the_web_server_gets_graph_names_and_buttons(dag, dag_id):
    from airflow.serialization.serialized_objects import DagSerialization

    dag = DagSerialization.from_dict(DagSerialization.to_dict(dag))

    keys = {link.name: link.xcom_key for link in EXTRA_LINKS}
    for task_id, expected in EXPECTED[dag_id].tasks.items():
        task = dag.get_task(task_id)
        assert {link.name: link.xcom_key for link in task.operator_extra_links} == {
            name: keys[name] for name in expected.links
        }
        assert task.task_display_name == expected.name
        assert task.has_retry_policy


def test_a_snapshot_starts_retrain_and_what_is_new_or_the_clock_starts_ingest(load_dag):
    ingest = load_dag("ingest_images").schedule

    assert [asset.name for asset in load_dag("retrain").schedule] == ["snapshot"]
    assert ([asset.name for asset in ingest.asset_condition.objects], ingest.timetable.expression) == (
        ["landing zone"],
        "0 0 * * *",
    )
    assert all(load_dag(dag_id).schedule is None for dag_id in ("batch_predict", "promote", "rollback"))


def test_the_landing_zone_is_watched_every_minute(load_dag):
    (asset,) = load_dag("ingest_images").schedule.asset_condition.objects
    (watcher,) = asset.watchers

    assert watcher.trigger.serialize() == ("plugins.landing_watcher.LandingTrigger", {"poll_seconds": 60.0})


def test_assets_lead_from_the_landing_zone_to_champion_and_predictions(load_dag):
    steps = {
        (inlet.name, outlet.name): task.task_id
        for dag_id in EXPECTED
        for task in load_dag(dag_id).tasks
        for inlet in task.inlets
        for outlet in task.outlets
    }

    assert steps == {
        ("landing zone", "snapshot"): "publish_snapshot",
        ("snapshot", "champion"): "promote",
        ("champion", "predictions"): "publish_predictions",
    }
