"""A store with runs and records, as the steps leave them."""

from __future__ import annotations

import shutil
from datetime import timedelta
from functools import partial

import pytest

from bench.decided import store_run
from ml import layout
from ml.config import Settings
from ml.context import Context
from ml.overview import load_overview
from ml.promotions import Champion
from ml.records import Records
from ml.storage import open_store
from promoted import NOON, record_promotion

NOW = NOON + timedelta(days=3)
GATE = {"min_macro_f1": 0.85}


@pytest.fixture
def settings(make_settings, closed_port):
    """With a port where no model server is."""
    return make_settings({"serving": {"grpc_port": closed_port}, "gate": GATE})


@pytest.fixture
def look(context):
    """The page as it is now, read afresh."""
    return lambda: load_overview(context, NOW, Records())


def record(store, run_id, version):
    """Make a version of a run's winner the champion; of its files the last is enough."""
    store.put(layout.model_prefix("classifier", version) + layout.SUMS, b"")
    return record_promotion(store, "classifier", run_id, "mobilenet", version, "000001-0")


@pytest.fixture
def promote(store):
    return partial(record, store)


@pytest.fixture(scope="session")
def told(tmp_path_factory):
    """A folder with three runs: the first two were promoted one after the other, the third was rejected."""
    folder = tmp_path_factory.mktemp("told")
    settings = Settings.model_validate({"store": {"url": str(folder)}, "gate": GATE})
    context = Context(settings, open_store(settings.store))
    summaries = [store_run(context, "one", wrong=12)]
    record(context.store, "one", 1)
    summaries.append(store_run(context, "two", wrong=8, champion=Champion(1, "one", "mobilenet")))
    record(context.store, "two", 2)
    summaries.append(store_run(context, "three", wrong=40, champion=Champion(2, "two", "mobilenet")))
    return folder, {summary.run_id: summary for summary in summaries}


@pytest.fixture
def story(told, tmp_path):
    """The summaries of the three runs, in a store of the test's own."""
    folder, summaries = told
    shutil.copytree(folder, tmp_path / "store", dirs_exist_ok=True)
    return summaries
