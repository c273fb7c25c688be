"""The recipe that Quartet is held against, as notebooks have it.

A Keras model of frozen backbone and attention head, fitted in float32 from a generator that decodes and resizes every
image in every epoch, on training images that were oversampled: each epoch sends every image through the backbone.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from PIL import Image

from ml.backbones import build_backbone
from ml.phantom_slice import CLASSES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ml.config import Settings, TrainSettings

__all__ = ["compile_head", "fit_epoch", "head_of_layers"]


def fit_epoch(
    settings: Settings, variant: str, training: Sequence[tuple[Path, int]], validation: Sequence[tuple[Path, int]]
) -> float:
    """Seconds of one epoch, validation included, after another one that also compiled.

    Args:
        settings: the variant, the input size, the head.
        variant: its name.
        training: files with their classes, oversampled.
        validation: likewise, each once.
    """
    size, batch = settings.images.size, settings.train.batch_size
    model = _model(settings, variant)
    ends: list[float] = []
    model.fit(
        _Files(training, size, batch),
        validation_data=_Files(validation, size, batch),
        epochs=2,
        verbose=0,
        callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=lambda _epoch, _logs: ends.append(time.perf_counter()))],
    )
    return ends[1] - ends[0]


def head_of_layers(features: Any, train: TrainSettings, classes: int) -> Any:
    """The head as Keras's own layers build it, on a feature map [N, H, W, C]."""
    _, height, width, channels = features.shape
    tokens = keras.layers.Reshape((height * width, channels))(features)
    attended = keras.layers.MultiHeadAttention(train.heads, train.key_dim)(tokens, tokens)
    hidden = keras.layers.GaussianNoise(train.noise)(attended)
    hidden = keras.layers.GlobalAveragePooling1D()(hidden)
    hidden = keras.layers.Dense(train.units, activation="relu")(hidden)
    hidden = keras.layers.BatchNormalization()(hidden)
    hidden = keras.layers.GaussianNoise(train.noise)(hidden)
    hidden = keras.layers.Dropout(train.dropout)(hidden)
    return keras.layers.Dense(classes, activation="softmax")(hidden)


def compile_head(model: keras.Model, learning_rate: float) -> None:
    """As the recipe does; without XLA, which on processors is slower."""
    model.compile(
        keras.optimizers.Adam(learning_rate),
        keras.losses.SparseCategoricalCrossentropy(),
        metrics=["accuracy"],
        jit_compile=False,
    )


def _model(settings: Settings, variant: str) -> keras.Model:
    backbone = build_backbone(settings, variant)
    inputs = keras.Input((settings.images.size, settings.images.size, 3))
    model = keras.Model(inputs, head_of_layers(backbone(inputs, training=False), settings.train, len(CLASSES)))
    compile_head(model, settings.train.learning_rate)
    return model


class _Files(keras.utils.PyDataset):  # type: ignore[misc]
    """Decodes and resizes a batch when it is asked for, as Keras's image generators do."""

    def __init__(self, files: Sequence[tuple[Path, int]], size: int, batch: int) -> None:
        super().__init__()
        self._files, self._size, self._batch = files, size, batch

    def __len__(self) -> int:
        return math.ceil(len(self._files) / self._batch)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        chosen = self._files[index * self._batch : (index + 1) * self._batch]
        pixels = [np.asarray(self._read(path), np.float32) / 255 for path, _ in chosen]
        return np.stack(pixels), np.array([label for _, label in chosen])

    def _read(self, path: Path) -> Image.Image:
        with Image.open(path) as image:
            return image.convert("RGB").resize((self._size, self._size), Image.Resampling.NEAREST)
