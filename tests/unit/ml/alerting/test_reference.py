from __future__ import annotations

import pytest

from ml.alerting import RunReference


@pytest.mark.parametrize(
    ("run", "url"),
    [
        (RunReference("d", "r/1 a?b"), "http://h/dags/d/runs/r%2F1%20a%3Fb"),
        (RunReference("d", "r", "group.t", 3, 1), "http://h/dags/d/runs/r/tasks/group.t/mapped/3?try_number=1"),
        (RunReference("d", "r", "t"), "http://h/dags/d/runs/r/tasks/t"),
    ],
    ids=["run", "mapped task", "task"],
)
def test_a_url_is_that_of_airflows_page(run, url):
    assert run.url("http://h") == url


def test_a_task_links_to_its_log_and_its_run_and_a_run_to_itself():
    assert RunReference("d", "r", "t", try_number=1).links("http://h") == (
        ("task log", "http://h/dags/d/runs/r/tasks/t?try_number=1"),
        ("run in Airflow", "http://h/dags/d/runs/r"),
    )
    assert RunReference("d", "r").links("http://h") == (("run in Airflow", "http://h/dags/d/runs/r"),)
