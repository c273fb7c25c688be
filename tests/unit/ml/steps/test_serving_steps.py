"""Canary, watch and rollback at a real model server."""

import json
import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from free_ports import free_ports
from local_stack import append, local_server
from ml.config import CanarySettings, PromotionSettings, ServingSettings, WatchSettings
from ml.context import Context
from ml.errors import DataError, ServingError
from ml.overview import load_overview
from ml.promotions import load_changes, newest_change
from ml.records import Records
from ml.registry import Registry
from ml.rollback import Request
from ml.rollout import roll_out
from ml.serving_state import ServingState
from ml.steps import canary, promote, publish, report, roll_back, watch
from ml.storage import dump_json, open_store, read_json
from serving.client import GrpcClient
from tiny_classifiers import Published

from .conftest import NOW, tiny_settings

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(first_run, second_run, tmp_path_factory):
    """Both runs, not promoted, the second one cleared as well."""
    folder = tmp_path_factory.mktemp("serving")
    before = Path(first_run.context.settings.store.url).parent
    shutil.copytree(before / "store", folder / "store")
    shutil.copy(before / "mlflow.db", folder)
    return folder


@pytest.fixture(scope="module")
def settings(folder):
    grpc_port, rest_port = free_ports(2)
    serving = ServingSettings(model_dir=folder / "served", grpc_port=grpc_port, rest_port=rest_port)
    promotion = PromotionSettings(
        canary=CanarySettings(images=12, timeout_seconds=60, max_latency_ratio=None),
        watch=WatchSettings(seconds=1, interval_seconds=0.2, max_latency_ratio=None),
    )
    settings = tiny_settings(folder).model_copy(update={"serving": serving, "promotion": promotion})
    (folder / "quartet.yaml").write_text(settings.model_dump_json())
    return settings


@pytest.fixture(scope="module")
def context(settings):
    store = open_store(settings.store)
    for info in list(store.list("promotions/")):
        store.delete(info.key)
    decision = read_json(store, "runs/second/decision.json")
    store.put("runs/second/decision.json", dump_json(decision | {"promoted": True, "reason": "Cleared for a test."}))
    return Context(settings, store)


@pytest.fixture(scope="module")
def client(folder, settings, context):
    with local_server(folder), GrpcClient.from_settings(settings) as client:
        yield client


def limited(context, **sections):
    promotion = context.settings.promotion.model_copy(update=sections)
    return Context(context.settings.model_copy(update={"promotion": promotion}), context.store)


def test_a_first_winner_is_tried_alone_made_stable_and_watched(context, client):
    assert roll_out(context, "first")["version"] == 1

    assert [(one.action, one.version) for one in load_changes(context.store, "tiny")] == [("canary", 1), ("promote", 1)]
    trial = read_json(context.store, "runs/first/canary.json")
    assert trial["figures"]["champion"] is None
    assert trial["figures"]["offline_agreement"] == 1.0
    seen = read_json(context.store, "runs/first/watch.json")
    assert seen["kept"]
    # The watch's own requests are among those that the server counted.
    assert seen["figures"]["requests"] >= seen["figures"]["probes"] > 0


def test_a_canary_that_does_badly_is_withdrawn_and_the_champion_stays(context, client):
    publish.run(context, "second")
    strict = limited(context, canary=CanarySettings(images=12, max_latency_ratio=1e-6))

    trial = canary.run(strict, "second", NOW)

    assert not trial["passed"]
    assert "latency (p95)" in trial["reason"]
    newest = newest_change(context.store, "tiny")
    assert (newest.action, newest.serving) == ("withdraw", ServingState(1, None, None))
    assert Registry(context.settings)._aliases() == {"champion": 1}
    with pytest.raises(DataError, match="did not stand its trial"):
        promote.run(strict, "second", NOW)
    assert report.run(context, "second", NOW)["promoted"] is False
    assert "Trial of version 2: failed" in context.store.get("runs/second/report.html").decode()


def test_a_second_winner_is_compared_with_the_champion(context, client):
    trial = canary.run(context, "second", NOW)

    assert trial["passed"], trial["reason"]
    assert trial["figures"]["champion"] == 1
    # Of the same data and settings: the same model again.
    assert trial["figures"]["agreement"] == 1.0
    assert trial["figures"]["champion_p95_ms"] > 0
    assert promote.run(context, "second", NOW)["version"] == 2
    assert newest_change(context.store, "tiny").evidence["canary"]["figures"]["agreement"] == 1.0


def test_a_version_that_does_badly_after_the_swap_is_taken_back_by_itself(context, client):
    strict = limited(context, watch=WatchSettings(seconds=30, interval_seconds=0.1, max_latency_ratio=1e-6))

    seen = watch.run(strict, "second")

    assert (seen["kept"], seen["rolled_back_to"]) == (False, 1)
    newest = newest_change(context.store, "tiny")
    assert (newest.action, newest.by, newest.serving.stable) == ("rollback", "watch", 1)
    assert "Version 2: latency (p95)" in newest.reason
    assert roll_back.wait_until_served(context, 1, 30) < 10
    assert Registry(context.settings).champion() == 1
    assert report.run(context, "second", NOW)["promoted"] is False
    assert "Version 1 serves again." in context.store.get("runs/second/report.html").decode()
    overview = load_overview(context, NOW, Records())
    assert (overview.champion.version, overview.champion.action, overview.champion.by) == (1, "rollback", "watch")
    assert (overview.served.agrees, dict(overview.served.labels)) == (True, {"stable": 1})
    outcomes = {row.run_id: row.outcome for row in overview.history.runs}
    assert outcomes["second"] == "Promoted as version 2, and taken back by the watch."
    assert outcomes["first"] == "Promoted as version 1, which serves now."
    assert overview.problems == ()


def test_a_watch_that_was_killed_after_it_took_a_version_back_tells_of_it_again(context, client):
    before = newest_change(context.store, "tiny")

    seen = watch.run(context, "second")

    assert (seen["kept"], seen["rolled_back_to"]) == (False, 1)
    assert "Version 2: latency (p95)" in seen["reason"]
    assert newest_change(context.store, "tiny") == before


def test_a_person_can_make_a_named_version_stable_again(context, client):
    request = Request("the disk was slow, not the model", "Alice", version=2, id="a run")
    change = roll_back.run(context, request, NOW + timedelta(days=1))
    roll_back.follow(context)

    assert (change["version"], change["from"], change["by"]) == (2, 1, "Alice")
    # A task that was killed after it and is tried again.
    assert roll_back.run(context, request, NOW + timedelta(days=2)) == change
    assert roll_back.wait_until_served(context, 2, 30) < 10
    assert Registry(context.settings).champion() == 2


@pytest.mark.parametrize(
    ("version", "reason", "said"),
    [
        (2, "why not", r"Version 2 is what serves now"),
        (40, "why not", r"Version 40 of tiny was never on trial or promoted"),
        (None, "  ", r"needs a reason"),
    ],
    ids=["serves", "unknown", "no-reason"],
)
def test_a_rollback_that_makes_no_sense_is_refused(context, client, version, reason, said):
    before = newest_change(context.store, "tiny")

    with pytest.raises(DataError, match=said):
        roll_back.run(context, Request(reason, "Alice", version), NOW)
    assert newest_change(context.store, "tiny") == before


def test_a_watch_of_a_version_that_is_not_stable_any_more_takes_nothing_back(context, client):
    seen = watch.run(context, "first")

    assert (seen["kept"], seen["rolled_back_to"]) == (True, None)
    assert "version 2 is the stable one now" in seen["reason"]


def test_a_server_whose_metrics_cannot_be_had_is_watched_all_the_same(context, client):
    """REST is off at TensorFlow Serving unless it is asked for."""
    (unused,) = free_ports(1)
    serving = context.settings.serving.model_copy(update={"rest_port": unused})
    promotion = context.settings.promotion.model_copy(
        update={"watch": WatchSettings(seconds=0.5, interval_seconds=0.1)}
    )
    silent = context.settings.model_copy(update={"serving": serving, "promotion": promotion})
    roll_back.run(context, Request("to watch it again", "Alice", version=1), NOW + timedelta(days=3))
    roll_back.wait_until_served(context, 1, 30)

    seen = watch.run(Context(silent, context.store), "first")

    assert (seen["kept"], seen["figures"]["requests"]) == (True, None)


def test_going_back_to_the_stable_version_ends_a_trial_and_nothing_else(context, client):
    append(context.settings, Published(2), "canary")

    change = roll_back.run(context, Request("not on a Friday", "Alice", version=1), NOW + timedelta(days=4))

    assert (change["action"], change["version"]) == ("withdraw", 1)
    assert newest_change(context.store, "tiny").serving.canary is None


def test_a_winner_whose_champion_has_changed_is_not_promoted_and_its_trial_ends(context, client):
    for key in ("decision.json", "publication.json", "canary.json"):
        document = read_json(context.store, f"runs/second/{key}")
        changes = {"champion": 7} if key == "decision.json" else {"version": 3, "passed": True}
        context.store.put(f"runs/fourth/{key}", dump_json(document | changes | {"run_id": "fourth"}))
    append(context.settings, Published(3), "canary")

    with pytest.raises(DataError, match=r"compared with another champion \(version 7\) than today's \(version 1\)"):
        promote.run(context, "fourth", NOW)
    assert newest_change(context.store, "tiny").serving == ServingState(1, None, None)


def test_a_server_that_is_down_ends_the_trial_and_the_record_says_so(context):
    (unused,) = free_ports(1)
    serving = context.settings.serving.model_copy(update={"grpc_port": unused})
    canary_settings = CanarySettings(images=4, timeout_seconds=0.5)
    alone = limited(context, canary=canary_settings)
    alone = Context(alone.settings.model_copy(update={"serving": serving}), context.store)
    publication = publish.load_publication(context, "second")
    context.store.put("runs/third/decision.json", context.store.get("runs/second/decision.json"))
    candidate = f"{publication['variant']}/candidate.json"
    context.store.put(f"runs/third/{candidate}", context.store.get(f"runs/second/{candidate}"))
    context.store.put("runs/third/publication.json", dump_json(publication | {"run_id": "third", "version": 3}))

    with pytest.raises(ServingError, match=r"does not serve version 3 as canary within 0\.5 s"):
        canary.run(alone, "third", NOW)
    newest = newest_change(context.store, "tiny")
    assert (newest.action, newest.serving.canary) == ("withdraw", None)
    assert newest.reason.startswith("no trial could be held")


def test_history_and_rollback_are_commands(context, client, folder, capsys, monkeypatch):
    from typer.testing import CliRunner

    from ml.cli import app

    monkeypatch.setenv("QUARTET_CONFIG", str(folder / "quartet.yaml"))
    monkeypatch.setenv("COLUMNS", "200")
    shown = CliRunner().invoke(app, ["rollback", "2", "--reason", "a drill", "--by", "Bob"])
    assert shown.exit_code == 0, shown.output
    records = CliRunner().invoke(app, ["history", "--json"])
    assert json.loads(records.output)[-1]["reason"] == "a drill"
    assert "rollback 2" in CliRunner().invoke(app, ["history", "--at", "2100-01-01"]).output
    before = CliRunner().invoke(app, ["history", "--at", "2020-01-01"])
    assert isinstance(before.exception, DataError)
    assert "Nothing served at 2020-01-01" in str(before.exception)
