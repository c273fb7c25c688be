import keras
import numpy as np
import pytest

from ml.attention import PooledSelfAttention

HEADS, KEY_DIM, TOKENS, CHANNELS = 3, 4, 7, 10


@pytest.fixture
def tokens():
    return np.random.default_rng(0).normal(0, 1, (5, TOKENS, CHANNELS)).astype(np.float32)


@pytest.fixture
def reference():
    """Keras's own attention with weights that are all different from 0, biases too."""
    layer = keras.layers.MultiHeadAttention(HEADS, KEY_DIM)
    layer.build((None, TOKENS, CHANNELS), (None, TOKENS, CHANNELS))
    generator = np.random.default_rng(1)
    layer.set_weights([generator.normal(0, 0.5, weight.shape) for weight in layer.get_weights()])
    return layer


@pytest.fixture
def build(reference):
    """The pooled layer with the weights of Keras's."""

    def layer(precision="float32"):
        pooled = PooledSelfAttention(HEADS, KEY_DIM, dtype=precision)
        pooled.build((None, TOKENS, CHANNELS))
        given = {weight.path.split("/", 1)[1]: np.asarray(weight) for weight in reference.weights}
        wide = (CHANNELS, HEADS * KEY_DIM)
        pooled.set_weights(
            [
                given["query/kernel"].reshape(wide),
                given["query/bias"].ravel(),
                given["key/kernel"].reshape(wide),  # its bias has no counterpart
                given["value/kernel"].reshape(wide),
                given["value/bias"].ravel(),
                given["attention_output/kernel"].reshape(wide[::-1]),
                given["attention_output/bias"],
            ]
        )
        return pooled

    return layer


def test_it_is_the_mean_of_what_keras_computes(build, reference, tokens):
    pooled, drawn = build()(tokens)
    outputs, scores = reference(tokens, tokens, return_attention_scores=True)

    np.testing.assert_allclose(pooled, np.mean(outputs, axis=1), atol=1e-5)
    np.testing.assert_allclose(drawn, np.mean(scores, axis=(1, 2)), atol=1e-6)


def test_attention_is_not_the_same_everywhere(build, tokens):
    """Else the comparison above would say little."""
    assert np.ptp(build()(tokens)[1], axis=1).min() > 0.05


def test_in_bfloat16_it_is_nearly_the_same_and_attention_still_sums_to_1(build, tokens):
    pooled, drawn = build("mixed_bfloat16")(tokens)
    exact, _ = build()(tokens)

    assert keras.backend.standardize_dtype(pooled.dtype) == "bfloat16"
    difference = np.asarray(keras.ops.cast(pooled, "float32")) - exact
    assert np.linalg.norm(difference) < 0.02 * np.linalg.norm(exact)
    np.testing.assert_allclose(np.sum(drawn, axis=1), 1, atol=1e-5)


def test_shapes_are_known_before_any_image_is_seen():
    pooled, drawn = PooledSelfAttention(HEADS, KEY_DIM)(keras.Input((TOKENS, CHANNELS)))

    assert (pooled.shape, drawn.shape) == ((None, CHANNELS), (None, TOKENS))
