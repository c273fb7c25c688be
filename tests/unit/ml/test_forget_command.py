"""``quartet forget`` as people see it."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from ml.cli import app
from ml.errors import DataError
from ml.plan import store_plan
from ml.snapshots import latest_snapshot
from ml.steps import ingest, publish_snapshot
from ml.storage import read_json

# Great Expectations' own modules warn when they are imported.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")


@pytest.fixture
def image_id(context, put_image):
    """One of four published images, which the training of a run saw."""
    chosen, *_ = [hashlib.sha256(put_image("a", f"{n}.png", seed=n)).hexdigest() for n in range(4)]
    publish_snapshot.run(context, ingest.run(context, datetime(2026, 1, 2, tzinfo=UTC))["snapshot_id"])
    store_plan(context.store, {"run_id": "nightly"}, pd.DataFrame({"image_id": [chosen], "split": ["train"]}))
    return chosen


@pytest.fixture
def quartet(tmp_path, monkeypatch, settings):
    """Runs ``quartet`` with these arguments, and with what is typed."""
    path = tmp_path / "quartet.yaml"
    path.write_text(yaml.safe_dump({"store": {"url": settings.store.url}, "validation": {"data_docs": False}}))
    monkeypatch.setenv("QUARTET_CONFIG", str(path))
    return lambda *arguments, typed=None: CliRunner().invoke(app, arguments, input=typed, env={"COLUMNS": "200"})


def everything(store):
    return {info.key: info.etag for info in store.list("")}


def test_a_dry_run_shows_what_would_go_and_who_saw_it(store, image_id, quartet):
    before = everything(store)
    result = quartet("forget", image_id[:8], "--note", "why", "--dry-run")

    assert result.exit_code == 0, result.output
    assert f"images/{image_id[:2]}/{image_id}.png" in result.output
    assert "landing/a/0.png" in result.output
    assert "nightly" in result.output
    assert "The remedy is to retrain" in result.output
    assert everything(store) == before


@pytest.mark.parametrize("typed", ["n\n", ""], ids=["no", "nothing"])
def test_nothing_happens_unless_it_is_confirmed(store, image_id, quartet, typed):
    before = everything(store)
    result = quartet("forget", image_id, "--note", "why", typed=typed)

    assert "Remove all of this for good?" in result.output
    assert result.exit_code == 1
    assert everything(store) == before


def test_confirmed_it_is_done_and_told(store, image_id, quartet):
    result = quartet("forget", image_id, "--note", "withdrawn by letter", typed="y\n")

    assert result.exit_code == 0, result.output
    assert "1 image(s) are forgotten." in result.output
    snapshot = latest_snapshot(store)
    assert f"Snapshot {snapshot.snapshot_id} is published without them." in result.output
    assert store.head(f"snapshots/{snapshot.snapshot_id}/report/index.html")
    assert store.head(f"snapshots/{snapshot.snapshot_id}/report/samples.png")
    assert read_json(store, f"forgotten/{image_id}.json")["note"] == "withdrawn by letter"
    assert store.head("landing/a/0.png")


def test_the_landing_zone_is_cleared_on_demand(store, image_id, quartet):
    result = quartet("forget", image_id, "--note", "why", "--yes", "--landing")

    assert result.exit_code == 0, result.output
    assert "The landing zone still has them" not in result.output
    assert store.head("landing/a/0.png") is None


def test_a_note_is_needed(image_id, quartet):
    result = quartet("forget", image_id)

    assert result.exit_code == 2
    assert "--note" in result.output


def test_an_unknown_image_is_named(image_id, quartet):
    result = quartet("forget", "0123456789", "--note", "why")

    assert isinstance(result.exception, DataError)
    assert "0123456789" in result.exception.message
