"""Random weights for the backbones."""

from __future__ import annotations

import math

import keras
import numpy as np

__all__ = ["randomise"]


def randomise(network: keras.Model, seed: int) -> None:
    """Draw every kernel from He's normal distribution (He et al., 2015) and leave normalisations at identity.

    Keras's own initialisation lets activations vanish over VGG's thirteen and more layers, and counts a
    depthwise kernel's fan-in over all channels although each output sees one; with variance kept from layer to
    layer, similar images keep similar features, which is all that a head on random features can live on
    (random features: Rahimi & Recht, 2007; depth and similarity: Schoenholz et al., 2017).
    """
    generator = np.random.default_rng(seed)
    for layer in network.layers:
        kernels = [weight for weight in layer.weights if "kernel" in weight.name]
        for kernel in kernels:
            depthwise = "depthwise" in kernel.path or isinstance(layer, keras.layers.DepthwiseConv2D)
            fan_in = math.prod(kernel.shape[:2]) * (1 if depthwise else kernel.shape[2])
            # A separable convolution has no ReLU between its two kernels, so its depthwise one keeps variance with 1.
            gain = 1.0 if isinstance(layer, keras.layers.SeparableConv2D) and depthwise else 2.0
            kernel.assign(generator.normal(0.0, math.sqrt(gain / fan_in), kernel.shape))
