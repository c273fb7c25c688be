"""What goes by age, what stays because something needs it, and what is left of what went."""

from __future__ import annotations

import os
import random
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

import pytest

from candidates import make_candidate
from ml import layout
from ml.candidates import load_candidate
from ml.context import Context
from ml.errors import DataError, StoreError
from ml.exposure import find_exposures
from ml.leaks import seen_in_training
from ml.ordering import load_decided, require_materials
from ml.plan import load_samples
from ml.promotions import load_changes
from ml.publication import is_published
from ml.removed_runs import removed_on, require_not_removed
from ml.steps import clean, plan_housekeeping
from ml.storage import dump_json, open_store, put_once, read_json
from ml.warm_start import trained_in
from past_runs import IMAGES, decide, write_run
from promoted import record_promotion

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")

NOW = datetime.now(UTC)
OLD = NOW - timedelta(days=100)
ALL = {
    "run_days": 30, "keep_runs": 1, "feature_days": 30, "quarantine_days": 30, "arrival_days": 30, "prediction_days": 30
}  # fmt: skip


@pytest.fixture
def context(make_settings, tmp_path, tracking_database):
    (tmp_path / "mlflow.db").write_bytes(tracking_database.read_bytes())
    settings = make_settings({"model_name": "m", "retention": ALL})
    return Context(settings, open_store(settings.store))


@pytest.fixture
def age(context, tmp_path):
    """Makes everything below a prefix so many days old."""

    def aged(prefix="", days=100):
        when = (NOW - timedelta(days=days)).timestamp()
        for info in context.store.list(prefix):
            os.utime(tmp_path / "store" / info.key, (when, when))

    return aged


def keep_house(context, now=NOW):
    plan_housekeeping.run(context, "h", now)
    return clean.run(context, "h", now)


def keys(store, prefix=""):
    return [info.key for info in store.list(prefix)]


def runs_of(store):
    return {key.split("/")[1] for key in keys(store, layout.RUNS)}


def publish(store, run_id, version, whole=True):
    prefix = layout.model_prefix("m", version)
    put_once(store, prefix + "saved_model.pb", b"graph")
    put_once(store, prefix + f"assets.extra/{layout.DECISION}", dump_json({"run_id": run_id}))
    if whole:
        put_once(store, prefix + layout.SUMS, b"0" * 64 + b"  saved_model.pb\n")


def make_run(store, run_id, **candidate):
    write_run(store, run_id, **candidate)
    decide(store, run_id)
    candidate_features = layout.features_prefix("vgg16", candidate.get("fingerprint", "f"))
    for name in ("shard.npy", "shard.json"):
        put_once(store, candidate_features + name, b'{"image_ids": []}')
    return run_id


def test_by_default_nothing_goes_however_old_it_is(make_settings, context, age):
    store = context.store
    make_run(store, "one")
    make_run(store, "two")
    store.put("predictions/b/batch.json", b"{}")
    age()
    before = keys(store)
    found = keep_house(Context(make_settings({"model_name": "m"}), store))

    assert (found["removed"], found["bytes"]) == (0, 0)
    assert [key for key in keys(store) if not key.startswith(("housekeeping/", "packs/"))] == before


def test_what_is_on_record_stays_with_its_ancestors_and_the_newest_and_the_rest_goes(context, age):
    store = context.store
    make_run(store, "root", fingerprint="f0")
    make_run(store, "champion", fingerprint="f1", started_from="root/vgg16")
    make_run(store, "before", fingerprint="f2")
    make_run(store, "rejected", fingerprint="f3")
    record_promotion(store, "m", "before", "vgg16", version=1)
    record_promotion(store, "m", "champion", "vgg16", version=2)
    for version, run_id in ((1, "before"), (2, "champion"), (3, "rejected"), (4, "champion")):
        publish(store, run_id, version)
    age()
    make_run(store, "newest", fingerprint="f4")
    found = keep_house(context)

    assert runs_of(store) == {"root", "champion", "before", "newest"}
    assert [version for version in range(1, 5) if is_published(store, "m", version)] == [1, 2, 4]
    assert {key.split("/")[2] for key in keys(store, layout.FEATURES)} == {"f0", "f1", "f2", "f4"}
    assert removed_on(store, "rejected") == f"{NOW:%Y-%m-%d}"
    assert found["kept"] == 0
    report = read_json(store, "housekeeping/h/report.json")
    why = {one["name"]: one["why"] for one in report["staying"] if one["kind"] == "run"}
    assert why["root"] == "weights of run champion, which stays, were fitted in it"
    assert "on record" in why["before"]
    assert [one["name"] for one in report["going"]] == ["rejected", "m 3", "vgg16/f3"]
    assert b"rejected" in store.get("housekeeping/h/report.html")


@pytest.mark.parametrize("seed", range(12))
def test_every_version_on_record_keeps_all_that_its_readers_look_for(context, age, seed):
    """Histories by chance: runs that start from others, versions on record or not, of any age."""
    store, generator = context.store, random.Random(seed)
    runs, version = [], 0
    for number in range(8):
        parent = generator.choice([None, *runs])
        start = {"started_from": f"{parent}/vgg16"} if parent else {}
        runs.append(make_run(store, f"run{number}", fingerprint=f"f{generator.randrange(3)}", **start))
        if generator.random() < 0.6:
            version += 1
            publish(store, runs[-1], version, whole=generator.random() < 0.8)
            if is_published(store, "m", version) and generator.random() < 0.6:
                record_promotion(store, "m", runs[-1], "vgg16", version=version)
    age()
    for run_id in generator.sample(runs, 2):
        age(f"runs/{run_id}/", days=generator.choice([1, 29, 31]))
    keep_house(context)

    for change in load_changes(store, "m"):
        assert is_published(store, "m", change.version)
        decided = load_decided(store, change.run_id, None)
        candidate = load_candidate(store, change.run_id, "vgg16")
        require_materials(store, decided, candidate)
        assert next(trained_in(store, candidate)) == change.run_id
        assert len(seen_in_training(store, candidate, load_samples(store, change.run_id))) == 4
        assert keys(store, candidate.features)
    seen = {exposure.run_id for _, exposure in find_exposures(context, frozenset(IMAGES["train"]))}
    assert seen == runs_of(store)
    assert all(removed_on(store, run_id) is None for run_id in seen)
    assert keep_house(context)["removed"] == 0


def test_a_run_that_waits_and_one_that_a_run_like_it_would_ask_for_stay(context, age):
    store = context.store
    for name in ("waits", "like", "goes", "newest"):
        make_run(store, name)
    store.put(
        "runs/waits/approval.json",
        dump_json({"run_id": "waits", "variant": "vgg16", "decision_sha256": "", "asked_at": OLD.isoformat(),
                   "answer": None}),
    )  # fmt: skip
    store.put("snapshots/latest.json", dump_json({"snapshot_id": "s"}))
    store.put("snapshots/s/snapshot.json", dump_json({"releases": []}))
    store.put("runs/like/plan.json", dump_json({"run_id": "like", "snapshot_id": "s", "identity": "i"}))
    store.put("runs-by-identity/i.json", dump_json({"run_id": "like"}))
    age()
    age("runs/newest/", days=90)
    keep_house(context)

    assert runs_of(store) == {"waits", "like", "newest"}


def test_a_removed_run_is_known_to_be_and_cannot_be_promoted(context, age):
    store = context.store
    make_run(store, "goes")
    store.put("runs/goes/plan.json", dump_json({"run_id": "goes", "snapshot_id": "other", "identity": "i"}))
    store.put("runs-by-identity/i.json", dump_json({"run_id": "goes"}))
    age()
    make_run(store, "newest")
    keep_house(context)

    assert keys(store, "runs-by-identity/") == []
    with pytest.raises(DataError, match="Run goes was removed by retention on"):
        load_decided(store, "goes", None)
    with pytest.raises(StoreError, match="is removed by retention since"):
        require_not_removed(store, "goes")
    write_run(store, "goes")
    require_not_removed(store, "goes")


def test_what_is_needed_since_it_was_planned_stays(context, age):
    store = context.store
    for name in ("promoted", "touched", "goes"):
        make_run(store, name)
    publish(store, "promoted", 1)
    publish(store, "touched", 2)
    publish(store, "nobody", 3)
    age()
    make_run(store, "newest")
    plan_housekeeping.run(context, "h", NOW)
    record_promotion(store, "m", "promoted", "vgg16", version=1)
    store.put("runs/touched/publication.json", b"{}")
    found = clean.run(context, "h", NOW)

    assert runs_of(store) == {"promoted", "touched", "newest"}
    assert all(is_published(store, "m", version) for version in (1, 2, 3))
    assert found["kept"] >= 2
    assert [key.split("/")[-1] for key in keys(store, layout.REMOVED_RUNS)] == ["goes.json"]


def test_a_publication_at_the_very_moment_keeps_the_run(context, age, monkeypatch):
    """Between the word that the run is removed and the second look at it somebody publishes its winner."""
    store = context.store
    make_run(store, "run")
    publish(store, "run", 1)
    publish(store, "other", 2)
    age()
    make_run(store, "newest")
    put = type(store).put

    def put_and_publish(self, key, data):
        etag = put(self, key, data)
        if key == layout.removed_run_key("run"):
            put(self, "runs/run/publication.json", b"{}")
            with pytest.raises(StoreError, match="is removed by retention since"):
                require_not_removed(self, "run")
        return etag

    monkeypatch.setattr(type(store), "put", put_and_publish)
    found = keep_house(context)

    assert found["kept"] >= 1
    assert is_published(store, "m", 1)
    assert "run" in runs_of(store)
    require_not_removed(store, "run")


def test_bytes_in_quarantine_go_and_what_was_refused_stays(context, age):
    store = context.store
    store.put("quarantine/truncated/aa/object", b"half a picture")
    store.put("quarantine/truncated/aa/0123.json", dump_json({"reason": "truncated"}))
    age()
    store.put("quarantine/truncated/bb/object", b"another")
    found = keep_house(context)

    assert keys(store, "quarantine/") == [
        "quarantine/truncated/aa/0123.json", "quarantine/truncated/aa/removed.json", "quarantine/truncated/bb/object"
    ]  # fmt: skip
    assert (found["objects"], found["bytes"]) == (1, 14)


def test_notes_of_old_ingests_go_but_not_what_a_younger_one_names_or_what_was_seen(context, age):
    store = context.store
    for name in (
        "seen",
        "told.json",
        "plans/old.json",
        "attributes/x.parquet",
        "old/rows.parquet",
        "used/rows.parquet",
    ):
        store.put(f"arrivals/{name}", b"{}")
    age()
    store.put("arrivals/plans/new.json", dump_json({"chunks": ["used"], "attributes": None}))
    keep_house(context)

    assert keys(store, "arrivals/") == [
        "arrivals/plans/new.json", "arrivals/seen", "arrivals/told.json", "arrivals/used/rows.parquet"
    ]  # fmt: skip


def test_old_batches_go_whole(context, age):
    store = context.store
    for batch in ("old", "new"):
        for name in ("plan.json", "part-00000.parquet", "batch.json"):
            store.put(f"predictions/{batch}/{name}", b"{}")
    age("predictions/old/")
    keep_house(context)

    assert {key.split("/")[1] for key in keys(store, "predictions/")} == {"new"}


def test_candidates_of_other_kinds_are_followed(context, age):
    """An ensemble names its members' runs; nothing else says that they are needed."""
    store = context.store
    make_run(store, "member")
    make_run(store, "vote")
    members = [{"run_id": "member", "variant": "vgg16", "weight": 1.0}]
    own = {name: asdict(make_candidate())[name] for name in ("run_id", "snapshot_id", "classes", "seconds")}
    store.put("runs/vote/ensemble/candidate.json", dump_json(own | {"mlflow_run_id": "m", "members": members}))
    record_promotion(store, "m", "vote", "ensemble", version=1)
    age()
    make_run(store, "newest")
    keep_house(context)

    assert runs_of(store) == {"member", "vote", "newest"}
