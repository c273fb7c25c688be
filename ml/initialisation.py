"""Random weights for the backbones: a cascade of smoothing and random filters that a head can learn from."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["randomise"]

#: Share of the spatial patterns that smooth; the others look for something. Measured, as are the next two.
SMOOTHING = 0.75
#: Share of a 3 x 3 convolution's outputs that hand on an input as it is.
CARRIED = 0.25
#: Norm of what mixes channels: a little below 1 / sqrt((1 - 1 / pi) / 2) = 1.71, which keeps the variance that normal
#: channels have about their mean after a ReLU.
MIXING_GAIN = 1.6
#: Decimals that are kept: products and sums differ in their last bits from one processor to the next, weights must not.
DECIMALS = 5


def randomise(network: keras.Model, seed: int) -> None:
    """Draw every kernel; biases stay 0 and normalisations the identity."""
    generator = np.random.default_rng(seed)
    first = True
    for kernel, depthwise in _kernels(network):
        if depthwise:
            drawn = _patterns(generator, kernel.shape[2])[..., np.newaxis]
        elif first:
            drawn = _first(generator, kernel.shape)
        else:
            drawn = _convolution(generator, kernel.shape)
        kernel.assign(np.round(drawn, DECIMALS))
        first = False


def _kernels(network: keras.Model) -> Iterator[tuple[Any, bool]]:
    """Kernels in the order of the layers, and whether each sees one channel at a time."""
    for layer in network.layers:
        for weight in layer.weights:
            if "kernel" in weight.name:
                yield weight, "depthwise" in weight.path or isinstance(layer, keras.layers.DepthwiseConv2D)


def _first(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return _unit(generator.normal(size=shape)) * math.sqrt(2)


def _convolution(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    height, width, inputs, outputs = shape
    mixing = _unit(_centred(generator.normal(size=(inputs, outputs)))) * MIXING_GAIN
    if (height, width) == (1, 1):
        return mixing.reshape(shape)
    kernel = _patterns(generator, outputs)[:, :, np.newaxis] * mixing
    carried = generator.permutation(outputs)[: int(CARRIED * outputs)]
    kernel[..., carried] = 0
    kernel[height // 2, width // 2, np.resize(generator.permutation(inputs), len(carried)), carried] = 1
    return kernel


def _patterns(generator: np.random.Generator, count: int) -> np.ndarray:
    patterns = _unit(generator.normal(size=(3, 3, count)))
    smoothing = generator.permutation(count)[: round(SMOOTHING * count)]
    weights = np.abs(generator.normal(size=(3, 3, len(smoothing))))
    patterns[..., smoothing] = weights / weights.sum(axis=(0, 1))
    return patterns


def _centred(mixing: np.ndarray) -> np.ndarray:
    return mixing - mixing.mean(axis=0)


def _unit(kernel: np.ndarray) -> np.ndarray:
    axes = tuple(range(kernel.ndim - 1))
    return kernel / np.sqrt((kernel**2).sum(axis=axes))
