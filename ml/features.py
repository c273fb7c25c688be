"""The cache of feature maps: append-only shards, so that an image passes through a backbone once in its life."""

from __future__ import annotations

import hashlib
import json
import logging
import tempfile
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ml.errors import AlreadyExistsError, DataError
from ml.storage import dump_json, read_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import pandas as pd

    from ml.config import Settings
    from ml.storage import Store

__all__ = ["FeatureReader", "ImageSource", "extract_missing", "features_fingerprint", "image_sources", "write_shard"]

log = logging.getLogger(__name__)

DECODERS = 4


@dataclass(frozen=True)
class ImageSource:
    """An image's id and the key of the bytes that training reads."""

    image_id: str
    uri: str


def image_sources(samples: pd.DataFrame) -> list[ImageSource]:
    """The images that a table names in its columns image_id and uri, in its order."""
    pairs = zip(samples["image_id"], samples["uri"], strict=True)
    return [ImageSource(str(image_id), str(uri)) for image_id, uri in pairs]


def features_fingerprint(settings: Settings, variant: str, weights: str, precision: str) -> str:
    """Name of everything that decides a feature map besides the image: 16 hexadecimal digits.

    Args:
        settings: the input size and the variant's options.
        variant: its name does not count, its options do.
        weights: digest of the backbone's weights.
        precision: of its arithmetic.
    """
    from ml.preprocessing import PREPROCESSING_VERSION

    decisive = {
        "variant": settings.variants[variant].model_dump(),
        "weights": weights,
        "size": settings.images.size,
        "preprocessing": PREPROCESSING_VERSION,
        "precision": precision,
    }
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()[:16]


class FeatureReader:
    """Reads cached feature maps of one variant by image id.

    Args:
        store: where the shards lie.
        prefix: of the variant and fingerprint.
        cache: folder for local copies of shards that must be memory-mapped.
    """

    def __init__(self, store: Store, prefix: str, cache: Path) -> None:
        self._store, self._prefix, self._cache = store, prefix, cache
        self._places: dict[str, tuple[str, int]] = {}
        self._shards: dict[str, np.ndarray] = {}
        for info in store.list(prefix):
            if info.key.endswith(".json"):
                shard = info.key.removesuffix(".json") + ".npy"
                ids = read_json(store, info.key)["image_ids"]
                self._places |= {image_id: (shard, row) for row, image_id in enumerate(ids)}

    def __contains__(self, image_id: object) -> bool:
        return image_id in self._places

    def shape(self) -> tuple[int, int, int]:
        """H, W and C of one feature map."""
        shard, _ = next(iter(self._places.values()))
        height, width, channels = self._open(shard).shape[1:]
        return height, width, channels

    def take(self, image_ids: Sequence[str]) -> np.ndarray:
        """Feature maps in the order asked for: float16 [N, H, W, C].

        Raises:
            DataError: an image has not been extracted.
        """
        rows: dict[str, tuple[list[int], list[int]]] = {}
        for position, image_id in enumerate(image_ids):
            try:
                shard, row = self._places[image_id]
            except KeyError:
                raise DataError(f"Image {image_id} has no feature map under {self._prefix}.", "Run extract.") from None
            positions, chosen = rows.setdefault(shard, ([], []))
            positions.append(position)
            chosen.append(row)
        maps = np.empty((len(image_ids), *self.shape()), dtype=np.float16)
        for shard, (positions, chosen) in rows.items():
            maps[positions] = self._open(shard)[chosen]
        return maps

    def _open(self, shard: str) -> np.ndarray:
        if shard not in self._shards:
            path = self._store.materialize(shard, self._cache)
            self._shards[shard] = np.load(path, mmap_mode="r", allow_pickle=False)
        return self._shards[shard]


def extract_missing(
    store: Store,
    prefix: str,
    images: Sequence[ImageSource],
    run_backbone: Callable[[np.ndarray], np.ndarray],
    settings: Settings,
) -> int:
    """Extract what the cache lacks and return how many images that were.

    Each shard is written whole, then its index: killed in between, the next run does that shard again.

    Args:
        store: of the images and of the cache.
        prefix: of the variant and fingerprint.
        images: what must be in the cache afterwards.
        run_backbone: float32 [N, size, size, 3] in [0, 1] to float32 [N, H, W, C].
        settings: batch and shard sizes, input size.
    """
    known = FeatureReader(store, prefix, settings.store.cache_dir)
    missing = [image for image in images if image.image_id not in known]
    size = settings.features.shard_size
    for start in range(0, len(missing), size):
        shard = missing[start : start + size]
        began = time.monotonic()
        maps = [_checked(run_backbone(batch), prefix) for batch in _batches(store, shard, settings)]
        write_shard(store, prefix, [image.image_id for image in shard], np.concatenate(maps))
        rate = len(shard) / (time.monotonic() - began)
        log.info("%s: %d of %d images, %.1f a second", prefix, start + len(shard), len(missing), rate)
    return len(missing)


def _batches(store: Store, images: Sequence[ImageSource], settings: Settings) -> Iterator[np.ndarray]:
    """Decode one batch ahead of the backbone."""
    size = settings.features.batch_size
    groups = [images[start : start + size] for start in range(0, len(images), size)]
    with ThreadPoolExecutor(DECODERS, thread_name_prefix="decode") as pool:

        def submit(group: Sequence[ImageSource]) -> list[Future[Any]]:
            return [pool.submit(_decode, store, image, settings.images.size) for image in group]

        ahead = submit(groups[0])
        for following in [*groups[1:], ()]:
            current, ahead = ahead, submit(following)
            yield np.stack([future.result() for future in current])


def _decode(store: Store, image: ImageSource, size: int) -> np.ndarray:
    import tensorflow as tf

    from ml.preprocessing import decode_and_resize

    data = store.get(image.uri)
    try:
        # On the processor: decoding has no GPU kernel and resizing one image there is not worth the transfer.
        with tf.device("/CPU:0"):
            return np.asarray(decode_and_resize(tf.constant(data), size))
    except tf.errors.InvalidArgumentError as error:
        raise DataError(f"Image {image.uri} was accepted but TensorFlow cannot decode it: {error.message}") from error


def _checked(maps: np.ndarray, prefix: str) -> np.ndarray:
    with np.errstate(over="ignore"):  # what does not fit becomes infinite, and is refused below
        half = maps.astype(np.float16)
    if not np.isfinite(half).all():
        raise DataError(
            f"The feature maps of {prefix} leave the range of float16 (largest magnitude {np.abs(maps).max():g}).",
            "Check the backbone's weights.",
        )
    return half


def write_shard(store: Store, prefix: str, ids: Sequence[str], maps: np.ndarray) -> None:
    """Add feature maps to a cache: the shard, then the index that makes it known.

    Args:
        store: of the cache.
        prefix: of the variant and fingerprint.
        ids: of the images, in the order of their maps.
        maps: float16 [N, H, W, C].
    """
    name = prefix + hashlib.sha256("\n".join(ids).encode()).hexdigest()[:16]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "shard.npy"
        np.save(path, maps, allow_pickle=False)
        store.upload(path, f"{name}.npy")
    try:
        store.put_if_absent(f"{name}.json", dump_json({"image_ids": list(ids), "shape": list(maps.shape)}))
    except AlreadyExistsError:
        # The name is a digest of the ids: another task extracted exactly these, and its shard serves as well.
        log.info("%s was written by another task meanwhile", name)
