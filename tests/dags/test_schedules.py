from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from airflow.sdk import Asset

from ml.errors import ConfigError
from plugins.schedules import ingest_schedule, landing_poll_seconds, retrain_schedule

ASSET = Asset("something")
INGEST, RETRAIN, POLL = "QUARTET_INGEST_SCHEDULE", "QUARTET_RETRAIN_SCHEDULE", "QUARTET_LANDING_POLL_SECONDS"


@pytest.mark.parametrize(
    ("text", "cron"), [(None, "0 0 * * *"), (" @hourly ", "0 * * * *"), ("5 4 * * 1", "5 4 * * 1")]
)
def test_ingest_starts_by_its_asset_or_the_clock(text, cron):
    schedule = ingest_schedule(ASSET, {} if text is None else {INGEST: text})

    assert list(schedule.asset_condition.objects) == [ASSET]
    assert (schedule.timetable.expression, schedule.timetable.timezone) == (cron, "UTC")


def test_never_leaves_the_asset_alone():
    assert ingest_schedule(ASSET, {INGEST: "never"}) == [ASSET]


def test_retrain_starts_by_the_clock_only_where_it_is_asked_for():
    assert retrain_schedule(ASSET, {}) == [ASSET]
    assert retrain_schedule(ASSET, {RETRAIN: "@weekly"}).timetable.expression == "0 0 * * 0"


@pytest.mark.parametrize("text", ["tomorrow", "99 * * * *", "* * * * * *", "@once", "0 0 * *"])
def test_a_text_that_is_no_schedule_is_refused_with_the_variable(text):
    with pytest.raises(ConfigError, match=r"QUARTET_INGEST_SCHEDULE = .* is no schedule\..*Use a cron expression"):
        ingest_schedule(ASSET, {INGEST: text})


@pytest.mark.filterwarnings("ignore")  # of Airflow's own modules
def test_unpausing_does_not_start_a_run_for_a_time_that_is_over(monkeypatch):
    from airflow.serialization.encoders import coerce_to_core_timetable
    from airflow.timetables import trigger
    from airflow.timetables.base import TimeRestriction

    def next_run(now):
        monkeypatch.setattr(trigger, "utcnow", lambda: now)
        timetable = coerce_to_core_timetable(ingest_schedule(ASSET, {}))
        restriction = TimeRestriction(earliest=None, latest=None, catchup=False)
        return timetable.next_dagrun_info(last_automated_data_interval=None, restriction=restriction).run_after

    midnight = datetime(2026, 3, 2, tzinfo=UTC)

    assert next_run(midnight + timedelta(hours=2)) == midnight + timedelta(days=1)
    assert next_run(midnight + timedelta(seconds=30)) == midnight


@pytest.mark.parametrize(("text", "seconds"), [(None, 60.0), ("", 60.0), ("1", 1.0), ("2.5", 2.5), ("0", None)])
def test_seconds_between_two_looks_at_the_landing_zone(text, seconds):
    assert landing_poll_seconds({} if text is None else {POLL: text}) == seconds


@pytest.mark.parametrize("text", ["often", "-1", "0.5", "1e9", "nan", "inf"])
def test_seconds_out_of_range_are_refused_with_the_variable(text):
    with pytest.raises(ConfigError, match=r"QUARTET_LANDING_POLL_SECONDS = .*0 for no watching"):
        landing_poll_seconds({POLL: text})
