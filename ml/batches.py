"""What a head is trained on: labelled images, their feature maps in batches, and the maps' statistics."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ml.augment import view_id

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pandas as pd
    import tensorflow as tf

    from ml.config import AugmentSettings
    from ml.features import FeatureReader

__all__ = ["Batches", "LabelledImages", "channel_statistics", "training_images", "validation_images"]


@dataclass(frozen=True)
class LabelledImages:
    """Images and their classes, in the order they are used.

    Attributes:
        image_ids: under which their feature maps are cached.
        labels: int64 [N].
        views: for each further view of all images, under which its maps are cached: see :mod:`ml.augment`.
    """

    image_ids: Sequence[str]
    labels: np.ndarray
    views: Sequence[Sequence[str]] = ()


def training_images(samples: pd.DataFrame, augment: AugmentSettings) -> LabelledImages:
    """The training images of a run, each as often as an epoch sees it, with their views.

    Args:
        samples: of the run, with the columns image_id, label, split and repeats.
        augment: how many views an image has.
    """
    rows = samples[samples["split"] == "train"]
    ids, labels = _repeated(rows.loc[rows.index.repeat(rows["repeats"])])
    numbers = range(1, augment.views + 1)
    return LabelledImages(ids, labels, [[view_id(one, number, augment) for one in ids] for number in numbers])


def validation_images(samples: pd.DataFrame) -> LabelledImages:
    """The validation images of a run, each once and as it is."""
    return LabelledImages(*_repeated(samples[samples["split"] == "validation"]))


def _repeated(rows: pd.DataFrame) -> tuple[list[str], np.ndarray]:
    return rows["image_id"].tolist(), rows["label"].to_numpy(dtype=np.int64)


class Batches:
    """Reads a batch from the memory-mapped cache when it is needed.

    Args:
        reader: the cached feature maps.
        images: what an epoch consists of.
        size: images in a batch; the last one may have fewer.
        shuffle_seed: of :meth:`shuffle`; None keeps the order.
        weights: float32 [C], what an image of each class weighs in the loss; None where all weigh the same.

    Attributes:
        failure: what ended a pass over the dataset, of which TensorFlow hands on only the words.
    """

    def __init__(
        self,
        reader: FeatureReader,
        images: LabelledImages,
        size: int,
        shuffle_seed: int | None = None,
        weights: np.ndarray | None = None,
    ) -> None:
        self.failure: Exception | None = None
        self._reader, self._images, self._size = reader, images, size
        self._ids = np.asarray([images.image_ids, *images.views], dtype=object)
        self._seed, self._weights = shuffle_seed, weights
        self._order = np.arange(self._ids.shape[1])
        self._view = np.zeros(len(self._order), dtype=np.int64)

    def __len__(self) -> int:
        return math.ceil(len(self._order) / self._size)

    def __getitem__(self, index: int) -> tuple[np.ndarray, ...]:
        chosen = self._order[index * self._size : (index + 1) * self._size]
        ids = self._ids[self._view[chosen], chosen].tolist()
        maps, labels = self._reader.take(ids), self._images.labels[chosen]
        return (maps, labels) if self._weights is None else (maps, labels, self._weights[labels])

    def dataset(self) -> tf.data.Dataset:
        """A pass over the batches, in the order at its beginning, two of them ahead of whoever trains.

        Not a ``keras.utils.PyDataset``: Keras lets tf.data choose how far to read ahead, and on two cores all threads
        then sleep for a second, several times a minute.
        """
        import tensorflow as tf

        element = self[0]
        signature = tuple(tf.TensorSpec((None, *part.shape[1:]), part.dtype) for part in element)
        batches = tf.data.Dataset.from_generator(self._pass, output_signature=signature)
        options = tf.data.Options()
        options.autotune.enabled = False
        options.threading.private_threadpool_size = 1  # not one of those that compute
        batches = batches.apply(tf.data.experimental.assert_cardinality(len(self)))
        return batches.prefetch(2).with_options(options)

    def _pass(self) -> Iterator[tuple[np.ndarray, ...]]:
        try:
            for index in range(len(self)):
                yield self[index]
        except Exception as error:
            self.failure = error
            raise

    def shuffle(self, epoch: int) -> None:
        """Put the images in the order of an epoch, each in a view, as nothing but the seed and its number decides."""
        if self._seed is not None:
            generator = np.random.default_rng((self._seed, epoch))
            self._order = generator.permutation(len(self._order))
            self._view = generator.integers(0, len(self._ids), len(self._order))


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
