"""Training a head on cached feature maps."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import pandas as pd

from ml.head import build_head

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ml.config import TrainSettings
    from ml.features import FeatureReader

__all__ = ["LabelledImages", "TrainedHead", "predict_head", "train_head"]


@dataclass(frozen=True)
class LabelledImages:
    """Image ids and their classes, int64 [N], in the order they are used."""

    image_ids: Sequence[str]
    labels: np.ndarray


@dataclass(frozen=True)
class TrainedHead:
    """A head with its best epoch's weights.

    ``history`` has the columns epoch (from 1), accuracy, loss, val_accuracy and val_loss.
    """

    head: keras.Model
    history: pd.DataFrame
    best_epoch: int
    seconds: float


class _Batches(keras.utils.PyDataset):  # type: ignore[misc]
    """Reads a batch from the memory-mapped cache when it is needed; shuffles after every epoch."""

    def __init__(self, reader: FeatureReader, images: LabelledImages, size: int, shuffle_seed: int | None) -> None:
        # More than one worker needs threads that outrun the GIL; reading a batch takes a fraction of its step.
        super().__init__(workers=1)
        self._reader, self._images, self._size = reader, images, size
        self._ids = np.asarray(images.image_ids, dtype=object)
        self._generator = None if shuffle_seed is None else np.random.default_rng(shuffle_seed)
        self._order = np.arange(len(self._ids))
        self.on_epoch_end()

    def __len__(self) -> int:
        return math.ceil(len(self._ids) / self._size)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        chosen = self._order[index * self._size : (index + 1) * self._size]
        return self._reader.take(self._ids[chosen].tolist()), self._images.labels[chosen]

    def on_epoch_end(self) -> None:
        if self._generator is not None:
            self._order = self._generator.permutation(len(self._order))


def train_head(
    reader: FeatureReader,
    training: LabelledImages,
    validation: LabelledImages,
    class_count: int,
    settings: TrainSettings,
    on_epoch: Callable[[int, dict[str, float]], None] = lambda _epoch, _metrics: None,
) -> TrainedHead:
    """Train a head with Adam on cross-entropy; stop early and keep the weights of the best validation loss.

    Args:
        reader: the cached feature maps.
        training: may name an image several times (oversampling).
        validation: each image once.
        class_count: number of classes.
        settings: the head and its training.
        on_epoch: called after each epoch with its number, from 1, and its metrics.
    """
    started = time.monotonic()
    mean, variance = channel_statistics(reader, sorted(set(training.image_ids)))
    head = build_head(reader.shape(), class_count, settings, mean, variance)
    model = keras.Model(head.input, head.output["probabilities"])
    model.compile(
        optimizer=keras.optimizers.Adam(settings.learning_rate),
        loss=keras.losses.SparseCategoricalCrossentropy(),
        metrics=["accuracy"],
        # XLA on CPUs compiles for seconds what then runs no faster.
        jit_compile=False,
    )
    stopping = keras.callbacks.EarlyStopping("val_loss", patience=settings.patience, restore_best_weights=True)
    fitted = model.fit(
        _Batches(reader, training, settings.batch_size, settings.seed),
        validation_data=_Batches(reader, validation, settings.batch_size, None),
        epochs=settings.epochs,
        shuffle=False,
        verbose=0,
        callbacks=[stopping, keras.callbacks.LambdaCallback(on_epoch_end=lambda e, logs: on_epoch(e + 1, dict(logs)))],
    )
    history = pd.DataFrame(fitted.history).rename_axis("epoch").reset_index()
    history["epoch"] += 1
    best = int(history["val_loss"].argmin()) + 1
    return TrainedHead(head, history, best, time.monotonic() - started)


def predict_head(
    head: keras.Model, reader: FeatureReader, image_ids: Sequence[str], batch_size: int = 64
) -> dict[str, np.ndarray]:
    """Run a head over cached maps: ``probabilities`` float32 [N, C] and ``attention`` float32 [N, H, W]."""
    parts: list[dict[str, Any]] = []
    for start in range(0, len(image_ids), batch_size):
        output = head(reader.take(image_ids[start : start + batch_size]), training=False)
        parts.append({name: keras.ops.convert_to_numpy(value) for name, value in output.items()})
    return {name: np.concatenate([part[name] for part in parts]) for name in ("probabilities", "attention")}


def channel_statistics(
    reader: FeatureReader, image_ids: Sequence[str], batch_size: int = 256
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of each channel over images and positions: two float32 [C]."""
    channels = reader.shape()[2]
    total, squares, count = np.zeros(channels), np.zeros(channels), 0
    for start in range(0, len(image_ids), batch_size):
        values = reader.take(image_ids[start : start + batch_size]).reshape(-1, channels).astype(np.float64)
        total += values.sum(axis=0)
        squares += np.square(values).sum(axis=0)
        count += len(values)
    mean = total / count
    return mean.astype(np.float32), np.maximum(squares / count - mean**2, 0.0).astype(np.float32)
