import os
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.eager import context

from ml.backbones import build_backbone
from ml.inference import build_frozen
from ml.precision import resolve_precision

NARROW = {"images": {"size": 64}, "variants": {"narrow": {"backbone": "mobilenet", "alpha": 0.25}}}
IMAGES = np.random.default_rng(0).random((5, 64, 64, 3), np.float32)


@pytest.fixture
def frozen(make_settings):
    return lambda precision: build_frozen(make_settings(NARROW), "narrow", precision)


@pytest.fixture
def plain(make_settings):
    return build_backbone(make_settings(NARROW), "narrow")(IMAGES).numpy()


def test_in_float32_it_is_the_backbone(frozen, plain):
    np.testing.assert_allclose(
        frozen("float32")(tf.constant(IMAGES)), plain, rtol=1e-3, atol=1e-4 * np.abs(plain).max()
    )


def test_in_bfloat16_it_differs_by_roundings_only(frozen, plain):
    maps = frozen("bfloat16")(tf.constant(IMAGES)).numpy()

    assert maps.dtype == np.float32
    assert 0 < np.abs(maps - plain).max() < 0.05 * np.abs(plain).max()


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_an_image_has_the_same_map_alone_and_among_others(frozen, precision):
    function = frozen(precision)

    together = function(tf.constant(IMAGES)).numpy()
    alone = np.concatenate([function(tf.constant(IMAGES[row : row + 1])).numpy() for row in range(len(IMAGES))])

    np.testing.assert_allclose(alone, together, rtol=1e-5, atol=1e-5 * np.abs(together).max())


def test_a_saved_model_that_holds_it_gives_the_same_maps(frozen, tmp_path):
    function, module = frozen("bfloat16"), tf.Module()
    module.run = tf.function(lambda images: function(images), [tf.TensorSpec([None, 64, 64, 3], tf.float32)])
    tf.saved_model.save(module, str(tmp_path))

    again = tf.saved_model.load(str(tmp_path)).run(tf.constant(IMAGES))

    np.testing.assert_array_equal(again, function(tf.constant(IMAGES)))


@pytest.mark.skipif(resolve_precision("auto") == "float32", reason="This processor is not better at bfloat16.")
def test_products_are_computed_in_bfloat16(frozen):
    function = frozen("bfloat16")

    @tf.function
    def traced(images):
        return function(images)

    graph = traced.get_concrete_function(tf.TensorSpec([None, 64, 64, 3], tf.float32)).graph
    inner = [node for function in graph.as_graph_def().library.function for node in function.node_def]

    convolutions = [node for node in inner if "Conv2D" in node.op or "Conv2d" in node.op]
    assert convolutions
    assert {node.attr["T"].type for node in convolutions} == {tf.bfloat16.as_datatype_enum}


@pytest.mark.skipif(resolve_precision("auto") == "float32", reason="This processor is not better at bfloat16.")
def test_all_of_mobilenet_is_fused_convolutions(frozen):
    function = tf.function(frozen("bfloat16"))

    context.enable_run_metadata()
    function(tf.constant(IMAGES))
    graphs = context.export_run_metadata().function_graphs
    context.disable_run_metadata()

    # The last one is what TensorFlow made of the function when it ran.
    nodes = Counter(node.op for part in graphs[-1].partition_graphs for node in part.node)
    assert nodes["_MklNativeFusedConv2D"] == 14
    assert nodes["_MklNativeFusedDepthwiseConv2dNative"] == 13
    assert not nodes["Relu6"]


@pytest.mark.slow
def test_without_onednn_keras_own_bfloat16_is_taken(tmp_path):
    program = f"""
import numpy as np, tensorflow as tf
from ml.config import Settings
from ml.inference import build_frozen
settings = Settings.model_validate({{**{NARROW!r}, "weights": "random"}})
images = np.random.default_rng(0).random((5, 64, 64, 3), np.float32)
plain, rounded = (build_frozen(settings, "narrow", name)(tf.constant(images)) for name in ("float32", "bfloat16"))
difference = float(tf.reduce_max(tf.abs(plain - rounded)) / tf.reduce_max(tf.abs(plain)))
assert 0 < difference < 0.1, difference
"""
    environment = os.environ | {"TF_ENABLE_ONEDNN_OPTS": "0"}

    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
