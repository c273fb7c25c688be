"""What a head is trained on: labelled images, their feature maps in batches, and the maps' statistics."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import keras
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ml.features import FeatureReader

__all__ = ["Batches", "LabelledImages", "channel_statistics"]


@dataclass(frozen=True)
class LabelledImages:
    """Image ids and their classes, int64 [N], in the order they are used."""

    image_ids: Sequence[str]
    labels: np.ndarray


class Batches(keras.utils.PyDataset):  # type: ignore[misc]
    """Reads a batch from the memory-mapped cache when it is needed.

    Args:
        reader: the cached feature maps.
        images: what an epoch consists of.
        size: images in a batch; the last one may have fewer.
        shuffle_seed: of :meth:`shuffle`; None keeps the order.
        weights: float32 [C], what an image of each class weighs in the loss; None where all weigh the same.
    """

    def __init__(
        self,
        reader: FeatureReader,
        images: LabelledImages,
        size: int,
        shuffle_seed: int | None = None,
        weights: np.ndarray | None = None,
    ) -> None:
        # More than one worker needs threads that outrun the GIL; reading a batch takes a fraction of its step.
        super().__init__(workers=1)
        self._reader, self._images, self._size = reader, images, size
        self._ids = np.asarray(images.image_ids, dtype=object)
        self._seed, self._weights = shuffle_seed, weights
        self._order = np.arange(len(self._ids))

    def __len__(self) -> int:
        return math.ceil(len(self._ids) / self._size)

    def __getitem__(self, index: int) -> tuple[np.ndarray, ...]:
        chosen = self._order[index * self._size : (index + 1) * self._size]
        maps, labels = self._reader.take(self._ids[chosen].tolist()), self._images.labels[chosen]
        return (maps, labels) if self._weights is None else (maps, labels, self._weights[labels])

    def shuffle(self, epoch: int) -> None:
        """Put the images in the order of an epoch, which depends on nothing but the seed and its number."""
        if self._seed is not None:
            self._order = np.random.default_rng((self._seed, epoch)).permutation(len(self._order))


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
