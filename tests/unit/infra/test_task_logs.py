import json

import pytest

from infra.local.airflow_api import TaskInstance
from infra.local.layout import Layout
from infra.local.task_logs import TaskLog, task_log_file

OURS = {"event": "3 images extracted", "logger": "ml.steps.extract", "level": "info"}
THEIRS = {"event": "Filling up the DagBag", "logger": "airflow.dag_processing", "level": "info"}
FAILURE = {
    "event": "Task failed with exception",
    "logger": "task",
    "error_detail": [{"exc_type": "AirflowFailException", "exc_value": "DataError: The landing zone is empty."}],
}


def line(event):
    return json.dumps(event) + "\n"


@pytest.fixture
def log(tmp_path):
    return TaskLog(tmp_path / "attempt=1.log")


@pytest.mark.parametrize(
    ("map_index", "try_number", "expected"),
    [
        (-1, 1, "logs/dag_id=retrain/run_id=manual__1/task_id=gate/attempt=1.log"),
        (2, 3, "logs/dag_id=retrain/run_id=manual__1/task_id=gate/map_index=2/attempt=3.log"),
        (-1, 0, "logs/dag_id=retrain/run_id=manual__1/task_id=gate/attempt=1.log"),
    ],
    ids=["plain", "mapped", "not-started"],
)
def test_log_file_is_where_airflow_writes_it(tmp_path, map_index, try_number, expected):
    layout = Layout(tmp_path)
    task = TaskInstance("gate", map_index, None, "running", try_number, None, None)

    assert task_log_file(layout.task_logs, "retrain", "manual__1", task) == layout.airflow_home / expected


def test_only_the_pipelines_own_lines_are_shown(log):
    log.path.write_text(line(THEIRS) + line(OURS) + "2026 a library prints\n" + "[1, 2]\n")

    assert log.new_lines() == ["3 images extracted"]


def test_each_line_is_shown_once_and_not_before_it_is_whole(log):
    log.path.write_text(line(OURS) + line(OURS)[:20])
    first = log.new_lines()
    with log.path.open("a") as file:
        file.write(line(OURS)[20:])

    assert (first, log.new_lines(), log.new_lines()) == (["3 images extracted"], ["3 images extracted"], [])


def test_log_that_is_not_there_yet_says_nothing(log):
    assert log.new_lines() == []
    assert log.failure() is None


def test_failure_is_the_exception_even_when_the_lines_before_it_were_read(log):
    log.path.write_text(line(OURS) + line(FAILURE))
    log.new_lines()

    assert log.failure() == "AirflowFailException: DataError: The landing zone is empty."
