"""Random weights for the backbones: filters that keep like images alike, so that a head can learn from them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Draw = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]

__all__ = ["randomise"]

#: Share of the spatial patterns that smooth; the others are free. This and the next two are measured.
SMOOTHING = 0.75
#: Share of a 3 x 3 convolution's outputs that hand on an input as it is.
CARRIED = 0.25
#: Norm of what mixes channels: a little below 1 / sqrt((1 - 1 / pi) / 2) = 1.71, which keeps the variance that normal
#: channels have about their mean after a ReLU.
MIXING_GAIN = 1.6
#: Decimals that are kept: sums differ in their last bits from one processor to the next, weights' digests must not.
DECIMALS = 5


def randomise(network: keras.Model, seed: int) -> None:
    """Draw every kernel; biases stay 0 and normalisations the identity.

    A network of plain convolutions gets three things that similarity of images survives many layers with:

    - Most spatial patterns smooth, the others are free, as the low-pass and band-pass filters of a scattering network
      (Bruna & Mallat, 2013): what free patterns alone make of an image changes entirely when it moves a little.
    - What mixes channels sums to zero over them (centred weights: Huang et al., 2017). The mean that a ReLU gives all
      channels is not passed on; else the outputs for any two images converge (Poole et al., 2016).
    - A share of each 3 x 3 convolution's outputs is an input as it is (delta kernels: Xiao et al., 2018), so that
      depths of all kinds reach the head.

    A network with shortcuts of its own, which carry the input past its layers, needs no such outputs, and mixes by He's
    normal distribution (He et al., 2015): of the three only smoothing was measured to help there.

    Args:
        network: any of Keras's, freshly built.
        seed: decides the weights, with the shapes of the layers.
    """
    generator = np.random.default_rng(seed)
    shortcuts = any(isinstance(layer, keras.layers.Add) for layer in network.layers)
    draw_mixing: Draw = _first
    for kernel, depthwise in _kernels(network):
        if depthwise:
            drawn = _patterns(generator, kernel.shape[2])[..., np.newaxis]
        else:
            drawn, draw_mixing = draw_mixing(generator, kernel.shape), _he if shortcuts else _convolution
        kernel.assign(np.round(drawn, DECIMALS))


def _kernels(network: keras.Model) -> Iterator[tuple[Any, bool]]:
    """Kernels in order, and whether each sees one channel at a time."""
    for layer in network.layers:
        for weight in layer.weights:
            if "kernel" in weight.name:
                yield weight, "depthwise" in weight.path or isinstance(layer, keras.layers.DepthwiseConv2D)


def _he(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return generator.normal(0.0, math.sqrt(2 / math.prod(shape[:3])), shape)


def _first(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Of the images themselves, whose mean is worth passing on."""
    return _unit(generator.normal(size=shape)) * math.sqrt(2)


def _convolution(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Each output mixes all channels under one spatial pattern, or hands on one of them."""
    height, width, inputs, outputs = shape
    mixing: np.ndarray = generator.normal(size=(inputs, outputs))
    mixing = _unit(mixing - mixing.mean(axis=0)) * MIXING_GAIN
    if (height, width) == (1, 1):
        return mixing.reshape(shape)
    kernel: np.ndarray = _patterns(generator, outputs)[:, :, np.newaxis] * mixing
    carried = generator.permutation(outputs)[: int(CARRIED * outputs)]
    kernel[..., carried] = 0
    kernel[height // 2, width // 2, np.resize(generator.permutation(inputs), len(carried)), carried] = 1
    return kernel


def _patterns(generator: np.random.Generator, count: int) -> np.ndarray:
    """Spatial patterns [3, 3, count]: smoothing ones are positive and sum to 1, free ones have the norm 1."""
    patterns = _unit(generator.normal(size=(3, 3, count)))
    smoothing = generator.permutation(count)[: round(SMOOTHING * count)]
    weights = np.abs(generator.normal(size=(3, 3, len(smoothing))))
    patterns[..., smoothing] = weights / weights.sum(axis=(0, 1))
    return patterns


def _unit(kernel: np.ndarray) -> np.ndarray:
    """Norm 1 for each output."""
    unit: np.ndarray = kernel / np.sqrt((kernel**2).sum(axis=tuple(range(kernel.ndim - 1))))
    return unit
