from datetime import timedelta

from bench.decided import store_run
from ml.overview import known
from ml.promoting import change_of
from ml.promotions import append_change, load_changes
from ml.rollback import Request, roll_back
from ml.run_summaries import write_summary
from ml.storage import dump_json
from promoted import NOON

from .conftest import NOW


def test_records_are_told_the_newest_first_with_the_figure_of_their_version(look, story, context):
    roll_back(context, Request("two was worse", "ann"), NOW)

    changes = look().history.changes

    assert [(one.number, one.action, one.version, one.stable, one.previous) for one in changes] == [
        (3, "rollback", 1, 1, None),
        (2, "promote", 2, 2, 1),
        (1, "promote", 1, 1, None),
    ]
    assert [one.macro_f1 for one in changes] == [story[run_id].macro_f1 for run_id in ("one", "two", "one")]
    assert (changes[0].by, changes[0].reason, changes[0].at) == ("ann", "two was worse", NOW)


def test_time_line_has_a_point_for_every_change_of_the_stable_version(look, story, context):
    publication = {"version": 3, "run_id": "three", "variant": "mobilenet", "snapshot_id": "000001-0"}
    for action in ("canary", "withdraw"):
        changes = load_changes(context.store, "classifier")
        append_change(context.store, "classifier", change_of(changes, publication, action, "tried", NOW))
    roll_back(context, Request("two was worse", "ann"), NOW)

    points = look().history.points

    assert [(one.version, one.action, one.run_id) for one in points] == [
        (1, "promote", "one"),
        (2, "promote", "two"),
        (1, "rollback", "one"),
    ]
    assert [one.macro_f1_interval for one in points] == [
        story[run_id].macro_f1_interval for run_id in ("one", "two", "one")
    ]
    assert points[0].at == NOON + timedelta(minutes=1)


def test_runs_are_told_with_what_became_of_them(look, story):
    rows = {row.run_id: row for row in look().history.runs}

    assert {name: (row.cleared, row.promoted, row.serves) for name, row in rows.items()} == {
        "one": (True, 1, False),
        "two": (True, 2, True),
        "three": (False, None, False),
    }
    assert rows["one"].outcome == "Promoted as version 1."
    assert rows["two"].outcome == "Promoted as version 2, which serves now."
    assert rows["three"].outcome.startswith("Rejected: macro F1: 0.66")
    assert rows["three"].score.macro_f1 == story["three"].macro_f1


def test_what_the_steps_after_the_gate_left_is_said(look, context, store):
    """The summary is written again by `report`, which comes after them."""
    for run_id in ("published", "tried", "cleared"):
        store_run(context, run_id)
    for run_id, version in (("published", 4), ("tried", 5)):
        store.put(f"runs/{run_id}/publication.json", dump_json({"version": version}))
    trial = {"version": 5, "passed": False, "reason": "errors: 0.2, required at most 0"}
    store.put("runs/tried/canary.json", dump_json(trial))
    for run_id in ("published", "tried"):
        write_summary(store, "classifier", run_id)

    said = {row.run_id: row.outcome for row in look().history.runs}

    assert said == {
        "cleared": "Cleared, but not published.",
        "published": "Published as version 4, but not promoted.",
        "tried": "Version 5 did not stand its trial: errors: 0.2, required at most 0.",
    }


def test_version_on_trial_is_said_to_be(look, context, store, story):
    store_run(context, "four", wrong=6)
    publication = {"version": 3, "run_id": "four", "variant": "mobilenet", "snapshot_id": "000001-0"}
    store.put("runs/four/publication.json", dump_json(publication))
    write_summary(store, "classifier", "four")
    changes = load_changes(store, "classifier")
    append_change(store, "classifier", change_of(changes, publication, "canary", "to be compared", NOW))

    overview = look()

    assert overview.history.runs[0].outcome == "On trial as version 3."
    assert (overview.champion.version, overview.champion.canary) == (2, 3)


def test_version_that_the_watch_took_back_is_said_to_be(look, context, store, story):
    roll_back(context, Request("Version 2: latency", "watch"), NOW)
    store.put("runs/two/watch.json", dump_json({"version": 2, "kept": False, "reason": "slow", "rolled_back_to": 1}))
    write_summary(store, "classifier", "two")

    rows = {row.run_id: row.outcome for row in look().history.runs}

    assert rows["two"] == "Promoted as version 2, and taken back by the watch."
    assert rows["one"] == "Promoted as version 1, which serves now."


def test_damaged_summary_is_named_and_hides_no_other(look, story, store):
    store.put("summaries/runs/classifier/one.json", b"{}")
    store.put("summaries/runs/classifier/two.json", b"{")

    history = look().history

    assert [row.run_id for row in history.runs] == ["three"]
    assert "summaries/runs/classifier/one.json is no summary of a run" in history.problem
    assert "summaries/runs/classifier/two.json is damaged" in history.problem
    assert [change.macro_f1 for change in history.changes] == [None, None]


def test_runs_are_as_many_as_the_page_holds(look, story, store, monkeypatch):
    monkeypatch.setattr(known, "MOST_RUNS", 20)
    document = story["one"].to_dict()
    for number in range(20):
        at = (NOON + timedelta(hours=number)).isoformat()
        name = f"more-{number:02d}"
        store.put(f"summaries/runs/classifier/{name}.json", dump_json(document | {"run_id": name, "decided_at": at}))

    runs = look().history.runs

    assert [row.run_id for row in runs] == [f"more-{number:02d}" for number in reversed(range(20))]
