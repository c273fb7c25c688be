"""The DAG `housekeeping`: its schedule, and runs in this process over a real store."""

import os
from datetime import UTC, datetime, timedelta

import pytest

from plugins.schedules import housekeeping_schedule

pytestmark = pytest.mark.filterwarnings("ignore")  # Airflow's and MLflow's own modules warn when tasks import them


@pytest.mark.parametrize(("text", "schedule"), [(None, "@weekly"), ("@monthly", "@monthly"), ("never", None)])
def test_the_schedule_is_weekly_unless_a_variable_says_otherwise(text, schedule):
    assert housekeeping_schedule({} if text is None else {"QUARTET_HOUSEKEEPING_SCHEDULE": text}) == schedule


@pytest.mark.parametrize("dry_run", [True, False], ids=["only look", "remove"])
def test_a_run_removes_what_is_old_unless_it_only_looks(set_up, load_dag, tmp_path, dry_run):
    context = set_up(retention={"prediction_days": 30})
    context.store.put("predictions/old/batch.json", b"{}")
    when = (datetime.now(UTC) - timedelta(days=31)).timestamp()
    os.utime(tmp_path / "store/predictions/old/batch.json", (when, when))
    dag = load_dag("housekeeping")
    for task in dag.tasks:
        task.retries = 0
    dag.deadline = None  # apache/airflow#73428: dag.test() cannot write it down
    run = dag.test(run_conf={"dry_run": dry_run})

    states = {instance.task_id: str(instance.state) for instance in run.get_task_instances()}
    assert states == {"plan_housekeeping": "success", "clean": "skipped" if dry_run else "success"}
    assert (context.store.head("predictions/old/batch.json") is not None) == dry_run
    (page,) = [one.key for one in context.store.list("housekeeping/") if one.key.endswith("report.html")]
    assert ("would go" if dry_run else "went").encode() in context.store.get(page)
