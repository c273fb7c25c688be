"""The Models page when years of runs are on record."""

from __future__ import annotations

import statistics
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from ml.layout import run_summary_key
from ml.promotions import append_change, load_changes
from ml.run_summaries import pack_records
from ml.storage import dump_json

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

RUNS = 200
LIMIT_SECONDS = 0.3
REQUESTS = 15


@pytest.fixture(scope="module")
def years(demo_stack, killed_promotion):
    """Summaries of 200 runs, one a day, of which no folder is left, and as many promotions."""
    store = demo_stack.store
    known = demo_stack.summaries()
    for day in range(1, RUNS + 1):
        decided = datetime(2020, 1, 1, 3, tzinfo=UTC) + timedelta(days=day)
        run_id = f"scheduled__{decided.isoformat()}"
        summary = known[day % len(known)] | {"run_id": run_id, "decided_at": decided.isoformat()}
        store.put(run_summary_key("tiny", run_id), dump_json(summary))
    changes = load_changes(store, "tiny")
    newest = changes[-1]
    serving = newest.serving
    assert serving.previous is not None
    other = next(one for one in changes if one.version == serving.previous)
    swapped = replace(other, serving=replace(serving, stable=serving.previous, previous=serving.stable))
    # Both stay loaded, and at the end serves what serves now.
    for number in range(1, RUNS + 1):
        change = swapped if number % 2 else newest
        when = datetime.now(UTC).isoformat()
        append_change(store, "tiny", replace(change, number=newest.number + number, action="promote", at=when))
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
