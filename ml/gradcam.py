"""Grad-CAM: where in a backbone's last feature map the evidence for a class lies (Selvaraju et al., 2017)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras
import numpy as np
import tensorflow as tf

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["grad_cam"]


def grad_cam(head: keras.Model, maps: NDArray[np.floating], class_ids: NDArray[np.integer]) -> NDArray[np.float32]:
    """Channels are weighed by the mean gradient of the class's score, before the softmax; what speaks against is cut.

    The backbone is frozen and ends in the map, so the gradient goes through the head only.

    Args:
        head: from :func:`ml.head.build_head`.
        maps: [N, H, W, C], of the images.
        class_ids: int [N], whose evidence is looked for.

    Returns:
        float32 [N, H, W], with sum 1 over each image: even where nothing speaks for the class.
    """
    last = head.get_layer("probabilities")
    before = keras.Model(head.inputs, last.input)
    features = tf.constant(maps, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(features)
        hidden = tf.cast(before(features, training=False), tf.float32)
        scores = tf.linalg.matmul(hidden, last.kernel) + last.bias
        chosen = tf.gather(scores, tf.constant(class_ids), axis=1, batch_dims=1)
    weights = tf.reduce_mean(tape.gradient(chosen, features), axis=(1, 2), keepdims=True)
    evidence = tf.nn.relu(tf.reduce_sum(weights * features, axis=-1)).numpy()
    totals = evidence.sum(axis=(1, 2), keepdims=True)
    even = np.full_like(evidence, 1 / evidence[0].size)
    return np.asarray(np.divide(evidence, totals, out=even, where=totals > 0))
