"""What heads and backbones compute on one machine, to hold another against: outputs, gradients and feature maps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from bench.device import forward
from bench.fitting import CHANNELS, CLASSES, SIDE, draw_maps, draw_signatures
from ml.backbones import build_backbone, weights_digest
from ml.config import Settings, TrainSettings
from ml.head import build_head

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["PRECISIONS", "compute_all", "deviation", "drawn_backbone", "draw_images"]

PRECISIONS = ("float32", "bfloat16")
HEAD_IMAGES, BACKBONE_IMAGES = 32, 8
#: Numbers that are kept of each variable's gradient.
KEPT = 2048


def compute_all(images: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """All that is compared, by names such as ``vgg_float32_gradient`` and ``mobilenet_bfloat16_maps``.

    Args:
        images: for the backbones, uint8 [N, 224, 224, 3].

    Yields:
        Of each head probabilities, attention and, with neither noise nor dropout, its loss and evenly spaced numbers of
        each variable's gradient; of each backbone the feature maps and the digest of its weights.
    """
    for grid, channels in CHANNELS.items():
        for precision in PRECISIONS:
            for name, values in _head(channels, precision).items():
                yield f"{grid}_{precision}_{name}", values
    for variant in Settings().variants:
        for precision in PRECISIONS:
            model = drawn_backbone(variant, precision)
            yield f"{variant}_{precision}_digest", np.asarray(weights_digest(model))
            maps = forward(model)(keras.ops.convert_to_tensor(images.astype(np.float32) / 255))
            yield f"{variant}_{precision}_maps", keras.ops.convert_to_numpy(maps)


def drawn_backbone(variant: str, precision: str) -> keras.Model:
    """A variant's backbone with the random weights of seed 1."""
    settings = Settings.model_validate({"weights": {"source": "random", "seed": 1}})
    return build_backbone(settings, variant, precision)


def draw_images() -> np.ndarray:
    """Head slices for the backbones: uint8 [N, 224, 224, 3]."""
    import cv2

    from ml.phantom_slice import CLASSES as KINDS
    from ml.phantom_slice import draw_phantom

    slices = [draw_phantom(KINDS[number % len(KINDS)], number)[0] for number in range(BACKBONE_IMAGES)]
    return np.stack([np.repeat(cv2.resize(one, (224, 224))[..., np.newaxis], 3, axis=-1) for one in slices])


def deviation(found: np.ndarray, expected: np.ndarray) -> float:
    """The norm of the difference as a share of the norm of what is expected."""
    difference = found.astype(np.float64) - expected
    return float(np.linalg.norm(difference) / np.linalg.norm(expected.astype(np.float64)))


def _head(channels: int, precision: str) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(channels)
    maps = draw_maps(generator, draw_signatures(generator, channels), HEAD_IMAGES).astype(np.float32)
    labels = np.arange(HEAD_IMAGES) % CLASSES
    settings = TrainSettings(noise=0, dropout=0)
    head = build_head((SIDE, SIDE, channels), CLASSES, settings, precision=precision)
    head.set_weights([_drawn(generator, weight) for weight in head.weights])
    outputs = head(maps, training=False)
    found = {name: keras.ops.convert_to_numpy(outputs[name]) for name in ("probabilities", "attention")}
    model = keras.Model(head.input, head.output["probabilities"])
    model.compile(_Gradients(), keras.losses.SparseCategoricalCrossentropy())
    found["loss"] = np.asarray(model.train_on_batch(maps, labels), np.float32)
    gradients = [keras.ops.convert_to_numpy(variable).ravel() for variable in model.trainable_variables]
    found["gradient"] = np.concatenate([one[:: max(1, one.size // KEPT)] for one in gradients])
    return found


def _drawn(generator: np.random.Generator, weight: Any) -> np.ndarray:
    """Values for a weight that leave all layers with numbers of about one."""
    values: np.ndarray = generator.standard_normal(weight.shape, np.float32)
    if len(weight.shape) == 2:
        values /= np.float32(np.sqrt(weight.shape[0]))
    elif weight.name in {"moving_variance", "gamma"}:
        values = np.exp(np.float32(0.3) * values)  # positive
    else:
        values *= np.float32(0.1)
    return values


class _Gradients(keras.optimizers.Optimizer):  # type: ignore[misc]
    """Leaves in each variable its gradient, which is how every backend gives gradients away alike."""

    def __init__(self) -> None:
        super().__init__(learning_rate=1.0, name="gradients")

    def update_step(self, gradient: Any, variable: Any, _learning_rate: Any) -> None:
        self.assign(variable, gradient)
