"""Heads trained on drawn feature maps that can be told apart, on whichever backend Keras has."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np

from ml.batches import Batches, LabelledImages, channel_statistics
from ml.config import StoreSettings, TrainSettings
from ml.features import FeatureReader, write_shard
from ml.head import build_head
from ml.macro_f1 import MacroF1
from ml.schedules import LearningRate
from ml.storage import open_store

__all__ = ["CHANNELS", "CLASSES", "EPOCHS", "IMAGES", "SIDE", "draw_maps", "draw_signatures", "fit_head"]

IMAGES, HELD_OUT, SHARD, CLASSES, EPOCHS = 4000, 800, 400, 4, 6
#: Height and width of the feature maps at 224 x 224, and their channels.
SIDE = 7
CHANNELS = {"vgg": 512, "mobilenet": 1024, "xception": 2048}
#: Standard deviation of what a class adds to the channels at one position, against noise of 1.
SIGNAL = 0.5
PREFIX = "features/drawn/"


def fit_head(channels: int, precision: str) -> dict[str, float]:
    """Train a head on ``IMAGES`` maps: seconds of the fastest epoch, losses of the first and the last, macro F1.

    On TensorFlow this is the pipeline's own training. On other backends it is the same head, schedule, batches and
    measures under Keras's Adam, for which TensorFlow has a kernel that others lack.

    Args:
        channels: of the maps.
        precision: of the products, float32 or bfloat16.
    """
    settings = TrainSettings(epochs=EPOCHS, patience=EPOCHS, precision=precision)
    labels = np.arange(IMAGES + HELD_OUT) % CLASSES
    ids = [str(number) for number in range(IMAGES + HELD_OUT)]
    training = LabelledImages(ids[:IMAGES], labels[:IMAGES])
    validation = LabelledImages(ids[IMAGES:], labels[IMAGES:])
    with tempfile.TemporaryDirectory() as folder:
        reader = _cached(Path(folder), channels)
        fit = _fit_as_pipeline if keras.backend.backend() == "tensorflow" else _fit_with_keras
        rows, ends = fit(reader, training, validation, settings)
    return {
        "epoch_seconds": float(np.diff(ends).min()),  # without the first one, which also compiles
        "first_loss": rows[0]["loss"],
        "last_loss": rows[-1]["loss"],
        "last_val_loss": rows[-1]["val_loss"],
        "last_val_macro_f1": rows[-1]["val_macro_f1"],
    }


def draw_maps(generator: np.random.Generator, signatures: np.ndarray, count: int) -> np.ndarray:
    """Maps with many zeros, as after a ReLU, of classes in turn: float16 [count, SIDE, SIDE, C].

    Args:
        generator: of noise and places.
        signatures: of the classes, [CLASSES, C], each of which is added at one position of its images.
        count: of maps.
    """
    maps = generator.standard_normal((count, SIDE * SIDE, signatures.shape[1]), np.float32)
    maps[np.arange(count), generator.integers(0, SIDE * SIDE, count)] += signatures[np.arange(count) % CLASSES]
    return np.maximum(maps, 0).astype(np.float16).reshape(count, SIDE, SIDE, -1)


def draw_signatures(generator: np.random.Generator, channels: int) -> np.ndarray:
    """Of the classes: float32 [CLASSES, C]."""
    return np.float32(SIGNAL) * generator.standard_normal((CLASSES, channels), np.float32)


def _cached(folder: Path, channels: int) -> FeatureReader:
    store = open_store(StoreSettings(url=str(folder / "store")))
    generator = np.random.default_rng(0)
    signatures = draw_signatures(generator, channels)
    for start in range(0, IMAGES + HELD_OUT, SHARD):
        ids = [str(number) for number in range(start, start + SHARD)]
        write_shard(store, PREFIX, ids, draw_maps(generator, signatures, SHARD))
    return FeatureReader(store, PREFIX, folder / "cache")


def _fit_as_pipeline(
    reader: FeatureReader, training: LabelledImages, validation: LabelledImages, settings: TrainSettings
) -> tuple[list[dict[str, float]], list[float]]:
    from ml.training import train_head

    rows: list[dict[str, float]] = []
    ends: list[float] = []

    def note(_epoch: int, row: dict[str, float]) -> None:
        rows.append(row)
        ends.append(time.perf_counter())

    train_head(reader, training, validation, CLASSES, settings, note)
    return rows, ends


def _fit_with_keras(
    reader: FeatureReader, training: LabelledImages, validation: LabelledImages, settings: TrainSettings
) -> tuple[list[dict[str, float]], list[float]]:
    batches = Batches(reader, training, settings.batch_size, settings.seed)
    mean, variance = channel_statistics(reader, training.image_ids)
    head = build_head(reader.shape(), CLASSES, settings, mean, variance, settings.precision)
    model = keras.Model(head.input, head.output["probabilities"])
    model.compile(
        keras.optimizers.Adam(LearningRate(settings, len(batches))),
        keras.losses.SparseCategoricalCrossentropy(),
        metrics=["accuracy", MacroF1(CLASSES)],
    )
    course = _Course()
    model.fit(
        _Fed(batches),
        validation_data=_Fed(Batches(reader, validation, 4 * settings.batch_size)),
        epochs=settings.epochs,
        shuffle=False,  # the batches are in their epoch's order
        verbose=0,
        callbacks=[course],
    )
    return course.rows, course.ends


class _Course(keras.callbacks.Callback):  # type: ignore[misc]
    """What epochs came to, and when they ended."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[dict[str, float]] = []
        self.ends: list[float] = []

    def on_epoch_end(self, _epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.rows.append({name: float(value) for name, value in (logs or {}).items()})
        self.ends.append(time.perf_counter())


class _Fed(keras.utils.PyDataset):  # type: ignore[misc]
    """Batches for backends other than TensorFlow's, read ahead by a thread."""

    def __init__(self, batches: Batches) -> None:
        super().__init__()
        self._batches, self._epoch = batches, 0
        batches.shuffle(0)

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, index: int) -> tuple[np.ndarray, ...]:
        return self._batches[index]

    def on_epoch_end(self) -> None:
        self._epoch += 1
        self._batches.shuffle(self._epoch)
