"""Whose turn it is to be on trial. The trial itself, at a server, is in `test_serving_steps`.

The run has no predictions, so that every trial ends as one that could not be held.
"""

import threading
import time
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from local_stack import append
from ml.context import Context
from ml.errors import NotFoundError
from ml.promotions import load_changes
from ml.steps import canary
from ml.storage import dump_json
from past_runs import decide, write_run
from promoted import record_promotion

# MLflow's own modules warn when they are imported.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")


def published(version):
    facts = {"run_id": f"run-{version}", "variant": "vgg16", "snapshot_id": "s", "version": version}
    return SimpleNamespace(to_dict=lambda: facts)


@pytest.fixture
def context(make_settings, store, tracking_database, tmp_path):
    (tmp_path / "mlflow.db").write_bytes(tracking_database.read_bytes())
    return Context(make_settings({"promotion": {"canary": {"wait_seconds": 60}}}), store)


@pytest.fixture
def begin(context, monkeypatch):
    """Puts version 3 on trial, and returns all records then."""
    monkeypatch.setattr(canary, "POLL_SECONDS", 0.02)
    run_id = write_run(context.store, "ours")
    decide(context.store, run_id)
    context.store.put("runs/ours/publication.json", dump_json(published(3).to_dict() | {"run_id": run_id}))

    def begin(now=None, within=context):
        with pytest.raises(NotFoundError):
            canary.run(within, run_id, now or datetime.now(UTC))
        return [(one.action, one.version) for one in load_changes(context.store, context.settings.model_name)]

    record_promotion(context.store, context.settings.model_name, "first", "vgg16")
    return begin


def test_it_waits_until_another_trial_has_ended(context, begin):
    append(context.settings, published(2), "canary")
    ending = threading.Timer(0.3, append, (context.settings, published(2), "promote"))
    ending.start()

    records = begin(datetime.now(UTC))
    ending.join()

    assert records[1:] == [("canary", 2), ("promote", 2), ("canary", 3), ("withdraw", 3)]
    times = [one.when for one in load_changes(context.store, context.settings.model_name)]
    assert times == sorted(times)


def test_a_trial_that_began_too_long_ago_is_taken_for_dead(context, begin, make_settings, caplog):
    append(context.settings, published(2), "canary")
    impatient = make_settings({"promotion": {"canary": {"wait_seconds": 0.1}}})

    records = begin(within=Context(impatient, context.store))

    assert records[1:] == [("canary", 2), ("canary", 3), ("withdraw", 3)]
    assert "version 3 takes the place of version 2, whose trial has not ended" in caplog.text


def test_its_own_trial_of_a_task_that_was_killed_is_gone_on_with(context, begin):
    append(context.settings, published(3), "canary")
    started = time.monotonic()

    records = begin(datetime.now(UTC) - timedelta(days=1))

    assert records[1:] == [("canary", 3), ("withdraw", 3)]
    assert time.monotonic() - started < 30
