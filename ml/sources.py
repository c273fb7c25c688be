"""The images that training reads: where they lie, and their pixels as a stream of blocks."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import repeat
from typing import TYPE_CHECKING, Any

import numpy as np

from ml.augment import make_view, view_id
from ml.errors import DataError
from ml.threads import map_ahead

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import pandas as pd

    from ml.config import AugmentSettings
    from ml.storage import Store

__all__ = ["ImageSource", "image_sources", "read_blocks", "read_image"]

#: Threads that wait for the store and decode; more than the cores, since they also wait.
DECODERS = 4


@dataclass(frozen=True)
class ImageSource:
    """What a feature map is of.

    Attributes:
        image_id: of the image, or of a view of it: see :func:`ml.augment.view_id`.
        uri: key of the bytes that training reads.
        view: number of the view; 0 is the image itself.
    """

    image_id: str
    uri: str
    view: int = 0


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

    def places() -> Iterator[tuple[Sequence[ImageSource], np.ndarray, int]]:
        for start in range(0, len(images), count):
            chosen = images[start : start + count]
            block = np.empty((len(chosen), size, size, 3), np.float32)
            for row in range(len(chosen)):
                yield chosen, block, row

    def fill(place: tuple[Sequence[ImageSource], np.ndarray, int]) -> tuple[Sequence[ImageSource], np.ndarray, int]:
        chosen, block, row = place
        image = chosen[row]
        pixels = read_image(store, image.uri, size)
        block[row] = make_view(pixels, image.image_id, augment) if augment and image.view else pixels
        return place

    for chosen, block, row in map_ahead(fill, places(), DECODERS, "decode", ahead=count):
        if row == len(chosen) - 1:
            yield chosen, block


def read_image(store: Store, uri: str, size: int) -> np.ndarray:
    """Read and decode one image: float32 [size, size, 3] in [0, 1].

    Raises:
        DataError: TensorFlow cannot decode it.
    """
    import tensorflow as tf

    data = store.get(uri)
    try:
        # On the processor: decoding has no GPU kernel and resizing one image there is not worth the transfer.
        with tf.device("/CPU:0"):
            return np.asarray(_decoder(size)(tf.constant(data)))
    except tf.errors.InvalidArgumentError as error:
        raise DataError(f"Image {uri} was accepted but TensorFlow cannot decode it: {error.message}") from error


@cache
def _decoder(size: int) -> Callable[[Any], Any]:
    """One graph, since calling its operations one by one from Python takes a third longer."""
    import tensorflow as tf

    from ml.preprocessing import decode_and_resize

    encoded = tf.TensorSpec([], tf.string)
    return tf.function(lambda data: decode_and_resize(data, size), input_signature=[encoded])  # type: ignore[no-any-return]
