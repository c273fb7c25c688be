import dataclasses

import keras
import numpy as np
import pytest

from ml.candidates import (
    Candidate,
    Ensemble,
    Member,
    load_candidate,
    load_head,
    store_candidate,
    store_ensemble,
    weights_notice,
)
from ml.errors import DataError, NotFoundError
from ml.head import build_head
from ml.storage import dump_json, read_json

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


def test_ablation_lies_beside_its_variant_and_answers_without_attention(store, settings, candidate, head):
    store_candidate(store, candidate, head)
    ablation = dataclasses.replace(candidate, attention=False)
    store_candidate(store, ablation, build_head(SHAPE, 3, settings.train, attention=False))

    again = load_candidate(store, candidate.run_id, "mobilenet-no-attention")

    assert (again, again.ablation_of) == (ablation, "mobilenet")
    attention = load_head(store, again, settings)(np.random.default_rng(0).random((4, *SHAPE), np.float32))["attention"]
    np.testing.assert_allclose(attention, 0.25)
    assert load_candidate(store, candidate.run_id, "mobilenet") == candidate


def test_head_that_was_asked_for_without_attention_is_its_variants_own(candidate):
    train = candidate.settings["train"] | {"attention": False}
    plain = dataclasses.replace(candidate, attention=False, settings=candidate.settings | {"train": train})

    assert (plain.name, plain.ablation_of) == ("mobilenet", None)


def test_record_from_before_there_were_ablations_is_of_a_head_with_attention(store, candidate, head):
    store_candidate(store, candidate, head)
    key = "runs/manual__2026-01-01T00-00-00-00-00/mobilenet/candidate.json"
    record = read_json(store, key)
    del record["attention"]
    store.put(key, dump_json(record))

    assert load_candidate(store, candidate.run_id, "mobilenet") == candidate


def test_candidate_is_its_only_member(candidate):
    assert candidate.members == (Member(candidate, 1.0),)
    assert candidate.lead == candidate


@pytest.fixture
def ensemble(store, candidate, head):
    """Of two candidates that are stored, the second one weightier."""
    both = candidate, dataclasses.replace(candidate, variant="vgg16")
    for one in both:
        store_candidate(store, one, head)
    return Ensemble(
        run_id=candidate.run_id,
        snapshot_id=candidate.snapshot_id,
        classes=candidate.classes,
        seconds=3.0,
        mlflow_run_id="e",
        voters=tuple(Member(one, weight) for one, weight in zip(both, (0.25, 0.75), strict=True)),
    )


def test_ensemble_is_read_back_with_its_members(store, ensemble):
    store_ensemble(store, ensemble)

    assert load_candidate(store, ensemble.run_id, "ensemble") == ensemble


def test_member_with_the_weightiest_vote_leads(ensemble):
    assert ensemble.lead.variant == "vgg16"


def test_ensemble_whose_member_is_gone_is_not_found(store, ensemble):
    store_ensemble(store, ensemble)
    store.delete("runs/manual__2026-01-01T00-00-00-00-00/vgg16/candidate.json")

    with pytest.raises(NotFoundError, match=r"vgg16/candidate\.json"):
        load_candidate(store, ensemble.run_id, "ensemble")


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
            "candidates": {"ablation": True},
            "alerts": {"slack": {"webhook_url": "https://hooks.example/secret"}},
        }
    )

    warm = candidate.settings["train"] | {"warm_start": True}  # which does not go with today's ablations
    restored = dataclasses.replace(candidate, settings=candidate.settings | {"train": warm}).restore_settings(today)

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
