from collections import Counter

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from ml.folding import fold

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.standard_normal((2, 8, 8, 3)).astype(np.float32)
KERNEL = RANDOM.standard_normal((3, 3, 3, 4)).astype(np.float32)
#: Two outputs for each of three channels.
DEPTHWISE = RANDOM.standard_normal((3, 3, 3, 2)).astype(np.float32)
FACTORS = np.arange(1, 7, dtype=np.float32)
#: As many outputs as columns, and a number for each of those.
WIDE = RANDOM.standard_normal((3, 3, 3, 8)).astype(np.float32)
COLUMNS = np.arange(8, dtype=np.float32).reshape(8, 1)
BIAS = np.linspace(-1, 1, 6, dtype=np.float32)


def _convolve(images):
    return tf.nn.conv2d(images, KERNEL, 1, "SAME")


def _convolve_depthwise(images):
    return tf.nn.depthwise_conv2d(images, DEPTHWISE, [1, 1, 1, 1], "SAME")


@pytest.fixture
def folded():
    """A function's nodes after folding, by operation, and what it then gives for the images."""

    def fold_function(function):
        signature = tf.TensorSpec(IMAGES.shape, tf.float32)
        frozen = convert_variables_to_constants_v2(tf.function(function).get_concrete_function(signature))
        definition = fold(frozen.graph.as_graph_def())
        wrapped = tf.compat.v1.wrap_function(lambda: tf.import_graph_def(definition, name=""), [])
        run = wrapped.prune(frozen.inputs[0].name, frozen.outputs[0].name)
        return Counter(node.op for node in definition.node), run(tf.constant(IMAGES)).numpy()

    return fold_function


@pytest.mark.parametrize(
    "normalise",
    [lambda maps: maps * FACTORS + BIAS, lambda maps: BIAS + FACTORS * maps],
    ids=["constants-last", "constants-first"],
)
def test_a_normalisation_goes_into_a_depthwise_convolution(folded, normalise):
    def function(images):
        return tf.nn.relu6(normalise(_convolve_depthwise(images)))

    nodes, maps = folded(function)

    np.testing.assert_allclose(maps, function(IMAGES), rtol=1e-5, atol=1e-5)
    assert nodes["BiasAdd"] == nodes["Relu6"] == 1
    assert not {"Mul", "AddV2"} & set(nodes)


def test_an_activation_without_a_bias_gets_one_that_does_nothing(folded):
    def function(images):
        return tf.nn.relu(_convolve(images))

    nodes, maps = folded(function)

    assert nodes["BiasAdd"] == 1
    np.testing.assert_allclose(maps, function(IMAGES), rtol=0, atol=1e-29)


def test_an_activation_with_a_bias_gets_no_other(folded):
    nodes, _ = folded(lambda images: tf.nn.relu(tf.nn.bias_add(_convolve(images), BIAS[:4])))

    assert nodes["BiasAdd"] == 1


LEFT = {
    "read by others too": lambda images: (maps := _convolve_depthwise(images)) * FACTORS + maps,
    "one for all channels": lambda images: _convolve_depthwise(images) * np.float32(2) + np.float32(1),
    "another for each position": lambda images: (
        _convolve(images) + np.arange(8 * 8 * 4, dtype=np.float32).reshape(8, 8, 4)
    ),
    "another for each column": lambda images: tf.nn.conv2d(images, WIDE, 1, "SAME") + COLUMNS,
    "computed": lambda images: _convolve_depthwise(images) * tf.reduce_mean(images),
    "kernel that is computed": lambda images: tf.nn.relu(
        tf.nn.conv2d(images, KERNEL * tf.reduce_mean(images), 1, "SAME")
    ),
    "of a plain convolution": lambda images: _convolve(images) * FACTORS[:4],
}


@pytest.mark.parametrize("name", LEFT)
def test_what_is_no_factor_or_bias_of_a_channel_is_left(folded, name):
    nodes, maps = folded(LEFT[name])

    np.testing.assert_allclose(maps, LEFT[name](IMAGES), rtol=1e-5, atol=1e-5)
    assert "BiasAdd" not in nodes


def test_the_graph_that_is_given_is_left_as_it_is():
    function = tf.function(lambda images: tf.nn.relu(_convolve(images)))
    definition = function.get_concrete_function(tf.TensorSpec(IMAGES.shape, tf.float32)).graph.as_graph_def()
    before = definition.SerializeToString(deterministic=True)

    fold(definition)

    assert definition.SerializeToString(deterministic=True) == before
