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
from ml.precision import resolve_precision

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ml.config import TrainSettings
    from ml.features import FeatureReader

__all__ = ["LabelledImages", "TrainedHead", "predict_head", "train_head"]

STEPS_AT_ONCE = 8


@dataclass(frozen=True)
class LabelledImages:
    """Image ids and their classes, int64 [N], in the order they are used."""

    image_ids: Sequence[str]
    labels: np.ndarray


@dataclass(frozen=True)
class TrainedHead:
    """A head with its best epoch's weights.

    Attributes:
        head: computes in float32, whatever it was trained in.
        history: columns epoch (from 1), accuracy, loss, val_accuracy and val_loss.
        best_epoch: whose weights it has.
        precision: of the products in training.
        seconds: of training alone.
    """

    head: keras.Model
    history: pd.DataFrame
    best_epoch: int
    precision: str
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
    *,
    attention: bool = True,
) -> TrainedHead:
    """Train a head with Adam on cross-entropy; stop early and keep the weights of the best validation loss.

    Args:
        reader: the cached feature maps.
        training: may name an image several times (oversampling).
        validation: each image once.
        class_count: number of classes.
        settings: the head and its training.
        on_epoch: called after each epoch with its number, from 1, and its metrics.
        attention: whether the head has it.
    """
    started = time.monotonic()
    statistics = channel_statistics(reader, sorted(set(training.image_ids)))
    precision = resolve_precision(settings.precision)
    head = build_head(reader.shape(), class_count, settings, *statistics, precision, attention)
    model = keras.Model(head.input, head.output["probabilities"])
    model.compile(
        optimizer=keras.optimizers.Adam(settings.learning_rate),
        loss=keras.losses.SparseCategoricalCrossentropy(),
        metrics=["accuracy"],
        # XLA on CPUs compiles for seconds what then runs no faster.
        jit_compile=False,
        # Steps between which Keras comes back to Python, which takes it as long as the products of a small batch.
        steps_per_execution=STEPS_AT_ONCE,
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
    if precision != "float32":
        head = _in_float32(head, build_head(reader.shape(), class_count, settings, attention=attention))
    return TrainedHead(head, history, best, precision, time.monotonic() - started)


def _in_float32(head: keras.Model, plain: keras.Model) -> keras.Model:
    """The same weights in the arithmetic in which a head is evaluated and served."""
    plain.set_weights(head.get_weights())
    return plain


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
    # About the first batch's mean: squares of large values with a small spread would leave nothing of it.
    shift = _tokens(reader, image_ids[:batch_size]).mean(axis=0)
    total, squares, count = np.zeros(channels), np.zeros(channels), 0
    for start in range(0, len(image_ids), batch_size):
        values = _tokens(reader, image_ids[start : start + batch_size]) - shift
        total += values.sum(axis=0)
        squares += np.einsum("nc,nc->c", values, values)
        count += len(values)
    mean = total / count
    variance = np.maximum(squares / count - mean**2, 0.0)
    return (mean + shift).astype(np.float32), variance.astype(np.float32)


def _tokens(reader: FeatureReader, image_ids: Sequence[str]) -> np.ndarray:
    """The features at every position: float32 [N x H x W, C]."""
    maps = reader.take(image_ids)
    return maps.reshape(-1, maps.shape[-1]).astype(np.float32)
