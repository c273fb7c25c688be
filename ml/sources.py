"""The images that training reads: where they lie, and their pixels as a stream of blocks."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from functools import cache
from itertools import repeat
from threading import BoundedSemaphore
from typing import TYPE_CHECKING, Any

import numpy as np

from ml.augment import make_view, view_id
from ml.changes import apply_change, changed_id
from ml.errors import DataError
from ml.threads import map_ahead

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import pandas as pd

    from ml.config import AugmentSettings
    from ml.storage import Store

__all__ = ["ImageSource", "changed_sources", "image_sources", "read_blocks", "read_image"]

#: Threads that wait for the store. As many of them decode as there are cores.
READERS = 16
#: Images that are decoded by one call of TensorFlow.
TOGETHER = 8


@dataclass(frozen=True)
class ImageSource:
    """What a feature map is of.

    Attributes:
        image_id: of the image, of a view of it (see :func:`ml.augment.view_id`) or of a change of it.
        uri: key of the bytes that training reads.
        view: number of the view; 0 is the image itself.
        change: name of the change; empty for the image itself.
    """

    image_id: str
    uri: str
    view: int = 0
    change: str = ""


def image_sources(samples: pd.DataFrame, augment: AugmentSettings | None = None) -> list[ImageSource]:
    """The images that a table names, in its order, each followed by its views.

    Args:
        samples: columns image_id and uri; with ``augment`` also split.
        augment: how many views training images have; none have any without it.
    """
    views = augment.views if augment else 0
    splits = samples["split"] if views else repeat("")
    sources = []
    for image_id, uri, split in zip(samples["image_id"].tolist(), samples["uri"].tolist(), splits, strict=False):
        sources.append(ImageSource(image_id, uri))
        if augment and split == "train":
            numbers = range(1, views + 1)
            sources += [ImageSource(view_id(image_id, number, augment), uri, number) for number in numbers]
    return sources


def changed_sources(images: pd.DataFrame, change: str) -> list[ImageSource]:
    """The images of a table, each changed in one way.

    Args:
        images: columns image_id and uri.
        change: one of :data:`ml.changes.CHANGES`.
    """
    pairs = zip(images["image_id"].tolist(), images["uri"].tolist(), strict=True)
    return [ImageSource(changed_id(image_id, change), uri, change=change) for image_id, uri in pairs]


def read_blocks(
    store: Store, images: Sequence[ImageSource], size: int, count: int, augment: AugmentSettings | None = None
) -> Iterator[tuple[Sequence[ImageSource], np.ndarray]]:
    """Decode images ahead of whoever reads them; one block of images waits, however many there are.

    Args:
        store: that holds them.
        images: in the order in which they are wanted.
        size: height and width, pixels.
        count: of images in a block; the last one may have fewer.
        augment: of the views among them.

    Yields:
        Some images, and their pixels float32 [n, size, size, 3] in [0, 1].

    Raises:
        DataError: TensorFlow cannot decode an image.
    """

    def groups() -> Iterator[tuple[Sequence[ImageSource], np.ndarray, int]]:
        for start in range(0, len(images), count):
            chosen = images[start : start + count]
            block = np.empty((len(chosen), size, size, 3), np.float32)
            for row in range(0, len(chosen), TOGETHER):
                yield chosen, block, row

    def fill(group: tuple[Sequence[ImageSource], np.ndarray, int]) -> tuple[Sequence[ImageSource], np.ndarray, int]:
        chosen, block, first = group
        some = chosen[first : first + TOGETHER]
        data = [store.get(image.uri) for image in some]
        with decoding:
            decoded = _decode([image.uri for image in some], data, size)
            for row, (image, pixels) in enumerate(zip(some, decoded, strict=True), first):
                block[row] = _seen(pixels, image, augment)
        return group

    decoding = BoundedSemaphore(len(os.sched_getaffinity(0)))
    for chosen, block, first in map_ahead(fill, groups(), READERS, "read", ahead=math.ceil(count / TOGETHER)):
        if first + TOGETHER >= len(chosen):
            yield chosen, block


def _seen(pixels: np.ndarray, image: ImageSource, augment: AugmentSettings | None) -> np.ndarray:
    if image.change:
        return apply_change(pixels, image.image_id, image.change)
    return make_view(pixels, image.image_id, augment) if augment and image.view else pixels


def read_image(store: Store, uri: str, size: int) -> np.ndarray:
    """Read and decode one image: float32 [size, size, 3] in [0, 1].

    Raises:
        DataError: TensorFlow cannot decode it.
    """
    return _decode([uri], [store.get(uri)], size)[0]


def _decode(uris: Sequence[str], data: Sequence[bytes], size: int) -> list[np.ndarray]:
    import tensorflow as tf

    try:
        # On the processor: decoding has no GPU kernel and resizing one image there is not worth the transfer.
        with tf.device("/CPU:0"):
            return [np.asarray(pixels) for pixels in _decoder(size, len(data))(tf.constant(data))]
    except tf.errors.InvalidArgumentError as error:
        if len(data) == 1:
            raise DataError(f"Image {uris[0]} was accepted but TensorFlow cannot decode it: {error.message}") from error
    for uri, one in zip(uris, data, strict=True):  # which of them it was
        _decode([uri], [one], size)
    raise AssertionError(uris)


@cache
def _decoder(size: int, count: int) -> Callable[[Any], Sequence[Any]]:
    """One graph for some images, since every call of TensorFlow from Python takes as long as a third of decoding."""
    import tensorflow as tf

    from ml.preprocessing import decode_and_resize

    def decode(data: Any) -> list[Any]:
        return [decode_and_resize(data[row], size) for row in range(count)]

    return tf.function(decode, input_signature=[tf.TensorSpec([count], tf.string)])  # type: ignore[no-any-return]
