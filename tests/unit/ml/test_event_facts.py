from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from ml.event_facts import champion_facts, snapshot_facts
from ml.promoting import change_of
from ml.promotions import append_change, load_changes
from ml.steps import ingest

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_a_snapshot_tells_its_images_by_split_and_class(context, put_image):
    for label, count in {"a": 3, "b": 5}.items():
        for number in range(count):
            put_image(label, f"{number}.png", seed=len(label) * 100 + count * 10 + number)
    facts = snapshot_facts(context, ingest.run(context, NOW)["snapshot_id"])

    assert facts["classes"] == {"a": 3, "b": 5}
    assert sum(facts["splits"].values()) == 8
    assert json.loads(json.dumps(facts)) == facts


@pytest.fixture
def promoted(context):
    """A context with version 1 and then version 2 as the champion, and a figure of the run behind version 1."""
    name = context.settings.model_name
    for number in (1, 2):
        publication = {"version": number, "run_id": f"run-{number}", "variant": "best", "snapshot_id": f"snap-{number}"}
        change = change_of(load_changes(context.store, name), publication, "promote", "better", NOW)
        append_change(context.store, name, change)
    rows = [{"variant": "another", "macro_f1": 0.1}, {"variant": "best", "macro_f1": 0.9}]
    context.store.put("runs/run-1/evaluation.json", json.dumps({"leaderboard": rows}).encode())
    return context


def test_a_record_tells_the_champion_that_it_made_and_the_one_before(promoted):
    facts = champion_facts(promoted, 2)

    assert facts.pop("uri") == promoted.store.uri("models/classifier/2/")
    assert facts == {
        "action": "promote",
        "number": 2,
        "by": "pipeline",
        "reason": "better",
        "version": 2,
        "run_id": "run-2",
        "variant": "best",
        "snapshot_id": "snap-2",
        "macro_f1": None,
        "before": 1,
    }
    first = champion_facts(promoted, 1)
    assert (first["version"], first["before"], first["run_id"]) == (1, None, "run-1")


def test_macro_f1_is_of_the_run_behind_the_champion_and_unknown_where_that_is_gone(promoted):
    assert champion_facts(promoted, 1)["macro_f1"] == 0.9
    assert champion_facts(promoted, 2)["macro_f1"] is None
