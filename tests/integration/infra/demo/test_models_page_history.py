"""The Models page when years of runs are on record."""

from __future__ import annotations

import statistics
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from ml.layout import run_summary_key
from ml.promotions import append_change, newest_change
from ml.run_summaries import pack_records
from ml.storage import dump_json

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

RUNS = 200
LIMIT_SECONDS = 0.3
REQUESTS = 15


@pytest.fixture(scope="module")
def years(demo_stack, killed_promotion):
    """Summaries of 200 runs, one a day, of which no folder is left, and as many promotions of what serves anyway."""
    store = demo_stack.store
    known = demo_stack.summaries()
    for day in range(1, RUNS + 1):
        decided = datetime(2020, 1, 1, 3, tzinfo=UTC) + timedelta(days=day)
        run_id = f"scheduled__{decided.isoformat()}"
        summary = known[day % len(known)] | {"run_id": run_id, "decided_at": decided.isoformat()}
        store.put(run_summary_key("tiny", run_id), dump_json(summary))
    newest = newest_change(store, "tiny")
    assert newest is not None
    for number in range(newest.number + 1, newest.number + RUNS + 1):
        again = replace(newest, number=number, action="promote", at=datetime.now(UTC).isoformat())
        append_change(store, "tiny", again)
    pack_records(store, "tiny")
    return len(known) + RUNS


def test_the_page_answers_within_300_ms_with_200_runs_on_record(demo_stack, years):
    with demo_stack.session("viewer") as session:
        page = session.get(f"{demo_stack.url}/quartet/models").text
        seconds = [_timed(session, f"{demo_stack.url}/quartet/models") for _ in range(REQUESTS)]

    assert f"{years - 10} earlier runs" in page
    assert page.count("▲ promote") >= RUNS
    # Of many, so that what else runs on this machine for a moment does not count.
    assert statistics.median(seconds) < LIMIT_SECONDS, seconds


def _timed(session, url):
    began = time.perf_counter()
    answer = session.get(url)
    took = time.perf_counter() - began
    assert answer.status_code == 200
    return took
