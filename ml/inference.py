"""A frozen backbone as one constant graph: the same for extraction, for evaluation and in the exported model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import tensorflow as tf
from tensorflow.core.protobuf import config_pb2, device_properties_pb2, meta_graph_pb2, rewriter_config_pb2
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2
from tensorflow.python.grappler import tf_optimizer
from tensorflow.python.grappler.cluster import Cluster
from tensorflow.python.training.saver import export_meta_graph

from ml.backbones import build_backbone
from ml.folding import fold

if TYPE_CHECKING:
    from collections.abc import Callable

    import keras

    from ml.config import Settings

    #: From float32 [N, size, size, 3] in [0, 1] to float32 [N, H, W, C].
    BackboneFunction = Callable[[Any], Any]

__all__ = ["build_frozen", "freeze"]

#: Of Grappler, in this order; what they leave of a normalisation, :mod:`ml.folding` takes into the convolutions.
REWRITES = ("function", "constfold", "arithmetic", "remap", "dependency")
TO_BFLOAT16 = "auto_mixed_precision_onednn_bfloat16"


def build_frozen(settings: Settings, variant: str, precision: str, folding: bool = True) -> BackboneFunction:
    """Build a variant's backbone and freeze it.

    Args:
        settings: input size, variants and weights.
        variant: a name under ``variants``.
        precision: of its arithmetic, float32 or bfloat16.
        folding: as :func:`freeze` takes it.

    Returns:
        A function from float32 [N, size, size, 3] in [0, 1] to a feature map float32 [N, H, W, C], which can be called
        inside another graph and be saved with it.

    Raises:
        ConfigError, WeightsError: as :func:`ml.backbones.build_backbone`.
    """
    backbone = build_backbone(settings, variant)
    return freeze(backbone, precision, lambda: build_backbone(settings, variant, precision), folding)


def freeze(
    backbone: keras.Model,
    precision: str = "float32",
    build_mixed: Callable[[], keras.Model] | None = None,
    folding: bool = True,
) -> BackboneFunction:
    """Turn a model into a function whose weights are constants and whose arithmetic is spelled out in its graph.

    Rounding to bfloat16 is decided operation by operation by Grappler's automatic mixed precision, after the
    normalisations have been folded into the convolutions: fewer roundings than under Keras's policy, and faster.

    Args:
        backbone: computes in float32.
        precision: float32 or bfloat16.
        build_mixed: gives the model under Keras's own bfloat16 policy, for machines where Grappler has no such pass:
            those without oneDNN.
        folding: False leaves the graph as TensorFlow's own rewrites do, to compare with.
    """
    plain = _constant(backbone)
    rewritten = _folded(plain, folding)
    if precision == "float32":
        return _function(plain, rewritten)
    rounded = _rewritten(plain, rewritten, (TO_BFLOAT16, "dependency"))
    if _computes_in_bfloat16(rounded) or build_mixed is None:
        return _function(plain, rounded)
    mixed = _constant(build_mixed())
    return _function(mixed, _folded(mixed, folding))


def _constant(model: keras.Model) -> Any:
    # Not the model's own call: under its name a later graph would find a part of Keras that is gone.
    function = tf.function(lambda images: model(images, training=False))
    signature = tf.TensorSpec([None, *model.input_shape[1:]], tf.float32, name="images")
    return convert_variables_to_constants_v2(function.get_concrete_function(signature))


def _folded(function: Any, folding: bool) -> Any:
    """The function's graph, its normalisations taken into its convolutions."""
    rewritten = _rewritten(function, function.graph.as_graph_def(), REWRITES)
    return fold(rewritten) if folding else rewritten


def _rewritten(function: Any, definition: Any, rewrites: tuple[str, ...]) -> Any:
    """A graph of the function after some of Grappler's rewrites."""
    graph = export_meta_graph(graph_def=definition, graph=function.graph)
    ends = meta_graph_pb2.CollectionDef()
    ends.node_list.value.extend(tensor.name for tensor in (*function.inputs, *function.outputs))
    graph.collection_def["train_op"].CopyFrom(ends)  # what Grappler must keep
    config = config_pb2.ConfigProto()
    options = config.graph_options.rewrite_options
    options.min_graph_nodes = -1  # small graphs too
    options.optimizers.extend(rewrites)
    if TO_BFLOAT16 in rewrites:
        options.auto_mixed_precision_onednn_bfloat16 = rewriter_config_pb2.RewriterConfig.ON
    # Described, not opened: a cluster of this machine's devices would take a GPU's memory for a session of its own.
    processor = device_properties_pb2.NamedDevice(
        name="/job:localhost/replica:0/task:0/device:CPU:0",
        properties=device_properties_pb2.DeviceProperties(type="CPU"),
    )
    try:
        return tf_optimizer.OptimizeGraph(config, graph, verbose=False, cluster=Cluster(devices=[processor]))
    except tf.errors.UnimplementedError:  # a TensorFlow without oneDNN
        return definition


def _computes_in_bfloat16(definition: Any) -> bool:
    return any("T" in node.attr and node.attr["T"].type == tf.bfloat16.as_datatype_enum for node in definition.node)


def _function(function: Any, definition: Any) -> BackboneFunction:
    wrapped = tf.compat.v1.wrap_function(lambda: tf.import_graph_def(definition, name=""), [])
    pruned = wrapped.prune(function.inputs[0].name, function.outputs[0].name)
    shape = function.outputs[0].shape

    def run(images: Any) -> Any:
        return tf.ensure_shape(pruned(images), shape)

    return run
