"""The multi-head-attention head that a variant trains on its frozen backbone's feature maps."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import keras

from ml.attention import PooledSelfAttention, PooledUniformly
from ml.precision import policy_of

if TYPE_CHECKING:
    import numpy as np

    from ml.config import TrainSettings

__all__ = ["build_head"]


def build_head(
    feature_shape: tuple[int, int, int],
    class_count: int,
    settings: TrainSettings,
    mean: np.ndarray | None = None,
    variance: np.ndarray | None = None,
    precision: str = "float32",
    attention: bool = True,
) -> keras.Model:
    """Build an untrained head.

    Tokens are the feature map's H x W positions; self-attention as in Vaswani et al. (2017), pooled over the tokens
    and without positions: the maps' channels already carry what the head needs.

    Args:
        feature_shape: H, W and C of the backbone's output.
        class_count: number of outputs.
        settings: sizes, noise, dropout and the seed of the initial weights.
        mean: float32 [C] of the training features; None when stored weights will replace it.
        variance: float32 [C], likewise.
        precision: of the products, float32 or bfloat16; weights, attention and probabilities are float32 either way.
        attention: False replaces it by the plain mean over the tokens, and changes nothing else.

    Returns:
        A model from float32 [N, H, W, C] to a dictionary of ``probabilities`` float32 [N, class_count] and
        ``attention`` float32 [N, H, W], which sums to 1 over each image.
    """
    height, width, channels = feature_shape
    keras.utils.set_random_seed(settings.seed)
    arithmetic = policy_of(precision)
    inputs = keras.Input(feature_shape, name="features")
    standardised = _standardise(channels, mean, variance)(inputs)
    tokens = keras.layers.Reshape((height * width, channels), name="tokens")(standardised)
    pooling: keras.layers.Layer = PooledUniformly(name="attention")
    if attention:
        pooling = PooledSelfAttention(settings.heads, settings.key_dim, name="attention", dtype=arithmetic)
    pooled, drawn = pooling(tokens)
    # What noise of its own on every token comes to in their mean.
    token_noise = settings.noise / math.sqrt(height * width)
    hidden = keras.layers.GaussianNoise(token_noise, name="token_noise")(pooled)
    hidden = keras.layers.Dense(settings.units, activation="relu", name="dense", dtype=arithmetic)(hidden)
    hidden = keras.layers.BatchNormalization(momentum=0.9, name="batch_normalisation")(hidden)
    hidden = keras.layers.GaussianNoise(settings.noise, name="noise")(hidden)
    hidden = keras.layers.Dropout(settings.dropout, name="dropout")(hidden)
    probabilities = keras.layers.Dense(class_count, activation="softmax", name="probabilities")(hidden)
    looked = keras.layers.Reshape((height, width), name="attention_map")(drawn)
    return keras.Model(inputs, {"probabilities": probabilities, "attention": looked})


def _standardise(channels: int, mean: np.ndarray | None, variance: np.ndarray | None) -> keras.layers.Layer:
    """Random and ImageNet features differ by orders of magnitude in scale; Adam's learning rate should not."""
    # Not keras.layers.Normalization: statistics given to its constructor are left out of the saved weights.
    layer = keras.layers.BatchNormalization(center=False, scale=False, trainable=False, name="standardise")
    layer.build((None, None, None, channels))
    if mean is not None and variance is not None:
        layer.moving_mean.assign(mean)
        layer.moving_variance.assign(variance)
    return layer
