import io
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from ml.changes import CHANGES, changed_id
from ml.config import EvaluationSettings
from ml.context import Context
from ml.features import FeatureReader
from ml.registry import Registry
from ml.steps import examine
from ml.storage import dump_json, read_json

pytestmark = pytest.mark.slow


@pytest.fixture
def winner(first_run):
    return first_run.evaluation["chosen"]


def predicted(run, variant):
    table = pd.read_parquet(io.BytesIO(run.context.store.get(f"runs/{run.run_id}/{variant}/predictions.parquet")))
    return table[table["split"] == "test"].set_index("image_id")


def test_document_is_kept_beside_the_winner(first_run, winner):
    assert read_json(first_run.context.store, f"runs/first/{winner}/examination.json") == first_run.examination
    assert first_run.examination["variant"] == winner


def test_size_is_that_of_what_is_published(first_run):
    files = first_run.context.store.list("models/tiny/1/")
    published = sum(info.size for info in files if "assets.extra" not in info.key and "SHA256SUMS" not in info.key)

    assert first_run.examination["export"]["size_mb"] == pytest.approx(published / 1e6, rel=0.01)


def test_export_is_timed_on_a_named_machine(first_run):
    export = first_run.examination["export"]

    assert 0 < export["latency_ms_p50"] <= export["latency_ms_p95"]
    assert export["machine"]


def test_every_change_is_looked_at_on_all_images_that_there_are(first_run, winner):
    changes = first_run.examination["changes"]

    assert [row["name"] for row in changes["changes"]] == list(CHANGES)
    assert changes["images"] == len(predicted(first_run, winner))


def test_images_as_they_are_have_the_accuracy_of_the_evaluation(first_run, winner):
    row = next(row for row in first_run.evaluation["leaderboard"] if row["variant"] == winner)

    assert first_run.examination["changes"]["clean"]["accuracy"] == pytest.approx(row["accuracy"])


@pytest.fixture
def cached(first_run, winner):
    """Names of the winner's cached maps, as they are asked for; other tests may have cleared the cache before."""
    context = first_run.context
    candidate = read_json(context.store, f"runs/first/{winner}/candidate.json")
    prefix = f"features/{winner}/{candidate['fingerprint']}/"
    examine.run(context, "first")

    def names():
        keys = [info.key for info in context.store.list(prefix) if info.key.endswith(".json")]
        return [name for key in keys for name in read_json(context.store, key)["image_ids"]]

    def take(image_ids):
        return FeatureReader(context.store, prefix, context.settings.store.cache_dir).take(image_ids).astype(float)

    return SimpleNamespace(names=names, take=take)


def test_changed_images_pass_through_the_backbone_once(first_run, winner, cached):
    wanted = {changed_id(one, change) for one in predicted(first_run, winner).index for change in CHANGES}
    before = cached.names()

    examine.run(first_run.context, "first")

    assert wanted <= set(before)
    assert sorted(cached.names()) == sorted(before)


def test_changed_image_s_map_is_another_one(first_run, winner, cached):
    one = predicted(first_run, winner).index[0]

    clean, darker = cached.take([one, changed_id(one, "dark-30")])

    assert np.abs(clean - darker).max() > 0.1 * np.abs(clean).max()


def test_overlays_are_compared_with_random_ones(first_run, winner):
    """Each begins its deletion, and ends its insertion, with the images as they were evaluated."""
    overlays = first_run.examination["overlays"]["overlays"]
    evaluated = predicted(first_run, winner).filter(regex="^p_").max(axis=1).mean()

    assert list(overlays) == ["attention", "grad_cam", "random"]
    for deletion, insertion in (one["curves"] for one in overlays.values()):
        assert deletion[0] == pytest.approx(evaluated, abs=0.01)
        assert insertion[-1] == deletion[0]
        assert deletion[-1] != deletion[0]
    assert overlays["attention"]["curves"] != overlays["random"]["curves"]


def test_what_the_settings_ask_none_of_is_left_out(first_run):
    settings = first_run.context.settings.model_copy(
        update={"evaluation": EvaluationSettings(changed_images=0, faithfulness_images=0)}
    )
    key = f"runs/first/{first_run.evaluation['chosen']}/examination.json"
    before = first_run.context.store.get(key)

    document = examine.run(Context(settings, first_run.context.store), "first")

    first_run.context.store.put(key, before)
    assert (document["changes"], document["overlays"], document["figures"]) == (None, None, [])
    assert document["export"]["size_mb"] > 0


def test_figures_are_tracked(first_run, winner):
    candidate = read_json(first_run.context.store, f"runs/first/{winner}/candidate.json")
    registry = Registry(first_run.context.settings)

    size = registry.logged(candidate["mlflow_run_id"], "exported_size_mb")
    unmoved = registry.logged(candidate["mlflow_run_id"], "changed_jpeg-90_unmoved")

    assert size[0] == pytest.approx(first_run.examination["export"]["size_mb"], rel=0.01)
    assert 0 <= unmoved[0] <= 1


def test_ensemble_is_examined_as_it_votes(voting_run):
    store = voting_run.context.store
    before = store.get("runs/vote/evaluation.json")
    store.put("runs/vote/evaluation.json", dump_json(voting_run.evaluation | {"chosen": "ensemble"}))

    document = examine.run(voting_run.context, "vote")

    store.put("runs/vote/evaluation.json", before)
    row = next(row for row in voting_run.evaluation["leaderboard"] if row["variant"] == "ensemble")
    assert document["variant"] == "ensemble"
    assert document["changes"]["clean"]["accuracy"] == pytest.approx(row["accuracy"])
    assert list(document["overlays"]["overlays"]) == ["attention", "grad_cam", "random"]
