import numpy as np
import pytest

from ml.config import TrainSettings
from ml.head import build_head

SHAPE = (3, 4, 6)
SETTINGS = TrainSettings(heads=2, key_dim=4, units=8)


@pytest.fixture
def maps():
    return np.random.default_rng(0).normal(5, 3, (5, *SHAPE)).astype(np.float32)


def test_probabilities_and_attention_each_sum_to_1(maps):
    output = build_head(SHAPE, 3, SETTINGS)(maps, training=False)

    assert output["probabilities"].shape == (5, 3)
    assert output["attention"].shape == (5, 3, 4)
    np.testing.assert_allclose(np.sum(output["probabilities"], axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(np.sum(output["attention"], axis=(1, 2)), 1, atol=1e-5)


def test_same_seed_gives_the_same_head_and_another_seed_another(maps):
    first, again, other = (
        build_head(SHAPE, 3, SETTINGS.model_copy(update={"seed": seed}))(maps)["probabilities"] for seed in (1, 1, 2)
    )

    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)


def test_noise_and_dropout_act_in_training_only(maps):
    head = build_head(SHAPE, 3, SETTINGS)

    np.testing.assert_array_equal(head(maps)["probabilities"], head(maps)["probabilities"])
    assert not np.allclose(head(maps, training=True)["probabilities"], head(maps)["probabilities"])


def test_scale_of_the_features_is_taken_out(maps):
    mean, variance = maps.mean(axis=(0, 1, 2)), maps.var(axis=(0, 1, 2))
    small = build_head(SHAPE, 3, SETTINGS, mean, variance)(maps)["probabilities"]
    large = build_head(SHAPE, 3, SETTINGS, mean * 1000, variance * 1e6)(maps * 1000)["probabilities"]

    np.testing.assert_allclose(small, large, atol=2e-3)


def test_statistics_are_part_of_the_stored_weights(maps, tmp_path):
    head = build_head(SHAPE, 3, SETTINGS, maps.mean(axis=(0, 1, 2)), maps.var(axis=(0, 1, 2)))
    head.save_weights(tmp_path / "head.weights.h5")

    again = build_head(SHAPE, 3, SETTINGS)
    again.load_weights(tmp_path / "head.weights.h5")

    np.testing.assert_array_equal(again(maps)["probabilities"], head(maps)["probabilities"])


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_without_attention_every_position_counts_alike(maps, precision):
    head = build_head(SHAPE, 3, SETTINGS, precision=precision, attention=False)
    shuffled = np.random.default_rng(1).permutation(maps.reshape(5, 12, 6), axis=1).reshape(maps.shape)

    np.testing.assert_allclose(head(maps)["attention"], 1 / 12, atol=1e-6)
    flat = np.broadcast_to(maps.mean(axis=(1, 2), keepdims=True), maps.shape)
    np.testing.assert_allclose(head(maps)["probabilities"], head(flat)["probabilities"], atol=1e-2)
    np.testing.assert_allclose(head(maps)["probabilities"], head(shuffled)["probabilities"], atol=1e-2)


def test_without_attention_only_the_layer_of_attention_is_another():
    with_attention, without = (build_head(SHAPE, 3, SETTINGS, attention=wanted) for wanted in (True, False))

    assert [layer.name for layer in with_attention.layers] == [layer.name for layer in without.layers]
    others = [[w.shape for w in head.weights if "attention" not in w.path] for head in (with_attention, without)]
    assert others[0] == others[1]
    assert len(without.weights) == len(others[1])


def test_attention_follows_what_differs():
    """A position that is unlike all others draws another share of the attention than they do."""
    maps = np.zeros((1, *SHAPE), np.float32)
    maps[0, 1, 2] = 5
    attention = np.array(build_head(SHAPE, 3, SETTINGS)(maps)["attention"])[0]

    others = np.delete(attention.ravel(), 1 * 4 + 2)
    np.testing.assert_allclose(others, others[0], atol=1e-6)
    assert abs(attention[1, 2] - others[0]) > 1e-3
