from __future__ import annotations

import pytest

from ml.alerting.cause import cause_digest, without_run


@pytest.mark.parametrize(
    "one_of_many",
    [
        "run {} failed",
        "no s3://q/runs/{}/plan.json",
    ],
)
@pytest.mark.parametrize("run_id", ["manual__2026-01-02T03:04:05.1+00:00", "drift_of_version_3"])
def test_a_runs_own_name_is_left_out(one_of_many, run_id):
    assert without_run(one_of_many.format(run_id), run_id) == one_of_many.format("#")


def test_the_name_is_left_out_as_keys_spell_it_too():
    assert without_run("runs/manual__2026-01-02T03-04-05-00-00/x", "manual__2026-01-02T03:04:05+00:00") == "runs/#/x"


@pytest.mark.parametrize(
    "name",
    [
        "2026-01-02T03:04:05.678+00:00",
        "2026-01-02 03:04",
        "2026-01-02T03-04-05-00-00",
        "3f2b8c1e-0d4a-4c55-9a0e-5d3f0c6b7a88",
        "000001-2f4781f7fc8e",
        "0x7f3a2c",
        "2f4781f7fc8e2f4781f7fc8e",
        "tmpk2_x9abc",
        "10.25 s",
        "30 seconds",
    ],
)
def test_what_is_new_in_every_run_is_left_out(name):
    assert without_run(f"what ({name}) it", "r") == "what (#) it"


@pytest.mark.parametrize("text", ["answered 503", "version 12", "glioma has 10", "class dead of beef", "port 5432"])
def test_what_tells_causes_apart_stays(text):
    assert without_run(text, "run") == text


def test_a_warning_and_a_failure_of_one_cause_are_two(make_alert):
    one = cause_digest(make_alert(cause=("a", "b")))

    assert one == cause_digest(make_alert(cause=("a", "b"), title="another", facts=()))
    assert one != cause_digest(make_alert(cause=("a", "b"), severity="warning"))
    assert one != cause_digest(make_alert(cause=("ab",)))
