"""How long an epoch of a head takes, against the same head as Keras's own layers build it."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ml.config import StoreSettings, TrainSettings
from ml.features import FeatureReader, write_shard
from ml.precision import resolve_precision
from ml.storage import open_store

if TYPE_CHECKING:
    import keras

    from bench.record import Measured

__all__ = ["measure"]

IMAGES, CLASSES, SHARD = 1600, 4, 400
#: Height and width of the feature maps at 224 x 224, and their channels.
SIDE = 7
CHANNELS = {"vgg": 512, "mobilenet": 1024, "xception": 2048}
PREFIX = "features/drawn/"


def measure() -> Measured:
    """Train on drawn maps of each backbone's shape; the second epoch counts, the first one also compiles."""
    settings = TrainSettings(epochs=2)
    chosen = resolve_precision("auto")
    figures: dict[str, float] = {}
    ratios: dict[str, float] = {}
    for backbone, channels in CHANNELS.items():
        maps, labels = _draw(channels)
        plain = _plain_epoch(maps, labels, settings)
        figures[f"{backbone}_keras_seconds"] = plain
        with tempfile.TemporaryDirectory() as folder:
            reader = _cached(Path(folder), maps)
            for precision in dict.fromkeys(("float32", chosen)):
                own = _own_epoch(reader, labels, settings.model_copy(update={"precision": precision}))
                figures[f"{backbone}_{precision}_seconds"] = own
                ratios[f"{backbone}_{precision}"] = plain / own
    return {
        "question": f"How long does an epoch of a head take over {IMAGES:,} cached maps of {SIDE} x {SIDE} positions?",
        "baseline": "the same head of keras.layers.MultiHeadAttention and GlobalAveragePooling1D, fitted in float32 on "
        "an array in memory",
        "figures": figures,
        "ratios": ratios,
    }


def _draw(channels: int) -> tuple[np.ndarray, np.ndarray]:
    """Maps with many zeros, as after a ReLU: float16 [IMAGES, SIDE, SIDE, channels], and labels."""
    generator = np.random.default_rng(0)
    maps = np.maximum(generator.standard_normal((IMAGES, SIDE, SIDE, channels), np.float32), 0)
    return maps.astype(np.float16), np.arange(IMAGES) % CLASSES


def _cached(folder: Path, maps: np.ndarray) -> FeatureReader:
    store = open_store(StoreSettings(url=str(folder / "store")))
    for start in range(0, IMAGES, SHARD):
        ids = [str(number) for number in range(start, start + SHARD)]
        write_shard(store, PREFIX, ids, maps[start : start + SHARD])
    return FeatureReader(store, PREFIX, folder / "cache")


def _own_epoch(reader: FeatureReader, labels: np.ndarray, settings: TrainSettings) -> float:
    from ml.training import LabelledImages, train_head

    training = LabelledImages([str(number) for number in range(IMAGES)], labels)
    validation = LabelledImages(training.image_ids[:CLASSES], labels[:CLASSES])
    ends = []
    train_head(reader, training, validation, CLASSES, settings, lambda *_: ends.append(time.perf_counter()))
    return ends[1] - ends[0]


def _plain_epoch(maps: np.ndarray, labels: np.ndarray, settings: TrainSettings) -> float:
    model = _plain_head(maps.shape[-1], settings)
    array = maps.astype(np.float32)
    model.fit(array, labels, batch_size=settings.batch_size, epochs=1, verbose=0)
    started = time.perf_counter()
    model.fit(array, labels, batch_size=settings.batch_size, epochs=1, verbose=0)
    return time.perf_counter() - started


def _plain_head(channels: int, settings: TrainSettings) -> keras.Model:
    import keras

    from bench.recipe import compile_head, head_of_layers

    inputs = keras.Input((SIDE, SIDE, channels))
    model = keras.Model(inputs, head_of_layers(inputs, settings, CLASSES))
    compile_head(model, settings.learning_rate)
    return model
