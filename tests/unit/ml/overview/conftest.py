"""A store with runs and records, as the steps leave them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bench.decided import store_run
from ml import layout
from ml.overview import load_overview
from ml.promotions import Champion
from ml.records import Records
from promoted import NOON, record_promotion

NOW = NOON + timedelta(days=3)


@pytest.fixture
def settings(make_settings, closed_port):
    """With a port where no model server is."""
    return make_settings({"serving": {"grpc_port": closed_port}, "gate": {"min_macro_f1": 0.85}})


@pytest.fixture
def look(context):
    """The page as it is now, read afresh."""
    return lambda: load_overview(context, NOW, Records())


@pytest.fixture
def promote(context):
    """Makes a version of a run's winner the champion; its files but the last need not be there."""

    def promote(run_id, version):
        change = record_promotion(context.store, "classifier", run_id, "mobilenet", version, "000001-0")
        context.store.put(layout.model_prefix("classifier", version) + layout.SUMS, b"")
        return change

    return promote


@pytest.fixture
def story(context, promote):
    """Three runs: the first two were promoted one after the other, the third was rejected."""
    summaries = [store_run(context, "one", wrong=12)]
    promote("one", 1)
    summaries.append(store_run(context, "two", wrong=8, champion=Champion(1, "one", "mobilenet")))
    promote("two", 2)
    summaries.append(store_run(context, "three", wrong=40, champion=Champion(2, "two", "mobilenet")))
    return {summary.run_id: summary for summary in summaries}
