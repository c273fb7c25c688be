import dataclasses

import keras
import numpy as np
import pytest

from ml.candidates import Candidate, load_candidate, load_head, store_candidate, weights_notice
from ml.errors import DataError, NotFoundError
from ml.head import build_head

SHAPE = (2, 2, 6)


@pytest.fixture
def settings(make_settings):
    return make_settings({"train": {"units": 8, "heads": 2, "key_dim": 4}})


@pytest.fixture
def candidate(settings):
    decisive = settings.model_dump(mode="json", include={"images", "variants", "weights", "features", "train"})
    return Candidate(
        run_id="manual__2026-01-01T00:00:00+00:00",
        variant="mobilenet",
        snapshot_id="000001-abc",
        classes=("a", "b", "c"),
        fingerprint="0123",
        feature_shape=SHAPE,
        weights_digest="d" * 64,
        precision="float32",
        settings=decisive,
        best_epoch=3,
        seconds=1.5,
        mlflow_run_id="m",
    )


@pytest.fixture
def head(settings):
    return build_head(SHAPE, 3, settings.train)


def test_candidate_is_read_back_as_it_was(store, candidate, head):
    store_candidate(store, candidate, head)

    assert load_candidate(store, candidate.run_id, "mobilenet") == candidate


def test_head_answers_as_before(store, settings, candidate, head):
    store_candidate(store, candidate, head)
    maps = np.random.default_rng(0).random((4, *SHAPE), np.float32)

    again = load_head(store, candidate, settings)

    np.testing.assert_array_equal(again(maps)["probabilities"], head(maps)["probabilities"])


def test_head_is_rebuilt_after_its_settings_have_changed(store, make_settings, candidate, head):
    store_candidate(store, candidate, head)
    today = make_settings({"train": {"units": 32, "heads": 4, "key_dim": 8}})

    assert load_head(store, candidate, today).get_layer("dense").units == 8


def test_weights_of_a_head_that_was_built_otherwise_are_refused(store, settings, candidate):
    inputs = keras.Input(SHAPE)
    other = keras.layers.Dense(3, name="probabilities")(keras.layers.Flatten()(inputs))
    store_candidate(store, candidate, keras.Model(inputs, other))

    with pytest.raises(DataError, match=r"mobilenet that run manual__2026.* does not fit"):
        load_head(store, candidate, settings)


def test_decisive_settings_are_the_candidates_and_the_rest_are_todays(make_settings, candidate):
    today = make_settings(
        {
            "images": {"size": 64},
            "variants": {"other": {"backbone": "vgg16"}},
            "weights": {"source": "imagenet", "seed": 9, "mirror": "elsewhere"},
            "gate": {"min_macro_f1": 0.9},
            "alerts": {"slack": {"webhook_url": "https://hooks.example/secret"}},
        }
    )

    restored = candidate.restore_settings(today)

    assert restored.images.size == 32
    assert restored.variant("mobilenet").backbone == "mobilenet"
    assert (restored.weights.source, restored.weights.seed) == ("random", 1)
    assert (restored.weights.mirror, restored.gate.min_macro_f1) == ("elsewhere", 0.9)
    assert restored.alerts == today.alerts


def test_candidate_that_was_never_trained_is_not_found(store):
    with pytest.raises(NotFoundError, match=r"runs/no-such-run/vgg16/candidate\.json"):
        load_candidate(store, "no-such-run", "vgg16")


def test_record_comes_after_the_weights_that_it_promises(store, candidate, head, monkeypatch):
    def fails(self, path, key):
        raise OSError("disk full")

    monkeypatch.setattr(type(store), "upload", fails)

    with pytest.raises(OSError, match="disk full"):
        store_candidate(store, candidate, head)
    assert store.head("runs/manual__2026-01-01T00-00-00-00-00/mobilenet/candidate.json") is None


def test_features_lie_under_the_variant_and_the_fingerprint(candidate):
    assert dataclasses.replace(candidate, fingerprint="9").features == "features/mobilenet/9/"


def test_random_weights_are_said_and_pretrained_ones_are_not(make_settings):
    assert "random, untrained weights (seed 4)" in weights_notice(make_settings({"weights": {"seed": 4}}))
    assert weights_notice(make_settings({"weights": {"source": "imagenet"}})) is None
