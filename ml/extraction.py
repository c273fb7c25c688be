"""Extraction: the frozen backbones' pass over the images that the cache of feature maps lacks.

Each image is read, decoded and resized once for all variants, while the backbones are busy with the ones before it.
What is in memory are three blocks of images (used, waiting, being filled), the batches in a backbone and two shards of
maps for each variant, however many images there are.
"""

from __future__ import annotations

import logging
import math
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from ml import layout
from ml.backbones import build_backbone, weights_digest
from ml.calibration import choose_batching, choose_precision, compiled
from ml.features import FeatureReader, features_fingerprint, set_aside, write_shard
from ml.inference import build_frozen, freeze
from ml.machine import release_memory
from ml.sources import read_blocks
from ml.threads import map_ahead

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ml.calibration import Batching
    from ml.config import Settings
    from ml.context import Context
    from ml.sources import ImageSource
    from ml.storage import Store

__all__ = ["Extracted", "FeatureMaps", "describe_maps", "ensure_features", "extract_maps", "missing_images"]

log = logging.getLogger(__name__)

#: Images that are decoded before the backbones see the first of them.
BLOCK = 64
#: Batches that are in the backbones at once on processors: at the end of an operation one waits for its slowest
#: thread, and the other has work for the rest.
AT_ONCE = 2
#: Images on which bfloat16 is held against float32.
SAMPLE = 16


@dataclass(frozen=True)
class FeatureMaps:
    """How a variant's feature maps are made, and so where they lie.

    Attributes:
        variant: its name.
        fingerprint: of all that decides a map besides the image.
        weights_digest: SHA-256 of the backbone's weights.
        precision: of its arithmetic.
    """

    variant: str
    fingerprint: str
    weights_digest: str
    precision: str

    @property
    def prefix(self) -> str:
        """Of the shards."""
        return layout.features_prefix(self.variant, self.fingerprint)


@dataclass(frozen=True)
class Extracted:
    """Maps that were made for one variant, and the seconds that took; what all variants share is shared out."""

    images: int
    seconds: float

    def __add__(self, other: Extracted) -> Extracted:
        return Extracted(self.images + other.images, self.seconds + other.seconds)


def describe_maps(context: Context, settings: Settings, variant: str, images: Sequence[ImageSource]) -> FeatureMaps:
    """Say how a variant's maps are made, as some settings, today's or a champion's, describe it.

    Args:
        context: the store that keeps what was calibrated.
        settings: of these the variant, its weights and the precision.
        variant: its name.
        images: of which a few are tried when the precision has to be decided.
    """
    backbone = build_backbone(settings, variant)
    weights = weights_digest(backbone)

    def read_sample() -> np.ndarray:
        _, block = next(read_blocks(context.store, images[:SAMPLE], settings.images.size, SAMPLE, settings.augment))
        return block

    def freeze_in(precision: str) -> Any:
        return freeze(backbone, precision, lambda: build_backbone(settings, variant, precision))

    precision = choose_precision(context, settings, variant, weights, freeze_in, read_sample)
    return FeatureMaps(variant, features_fingerprint(settings, variant, weights, precision), weights, precision)


def missing_images(context: Context, maps: FeatureMaps, images: Sequence[ImageSource]) -> list[ImageSource]:
    """The images of which the cache has no map, or none that can be trusted.

    A shard whose bytes are not what its index says is moved aside, with a warning that says where.
    """
    reader = FeatureReader(context.store, maps.prefix, context.settings.store.cache_dir)
    corrupt = reader.corrupt(image.image_id for image in images)
    for shard in corrupt:
        set_aside(context.store, shard)
    if corrupt:
        reader = FeatureReader(context.store, maps.prefix, context.settings.store.cache_dir)
    return [image for image in images if image.image_id not in reader]


def ensure_features(
    context: Context, settings: Settings, variant: str, images: Sequence[ImageSource]
) -> tuple[FeatureMaps, Extracted]:
    """Bring the cache up to date for one variant as some settings describe it."""
    maps = describe_maps(context, settings, variant, images)
    missing = missing_images(context, maps, images)
    extracted = extract_maps(context, settings, [maps], missing)
    log.info("%s: %d images extracted, %d already cached", variant, len(missing), len(images) - len(missing))
    return maps, extracted[variant]


def extract_maps(
    context: Context, settings: Settings, variants: Sequence[FeatureMaps], images: Sequence[ImageSource]
) -> dict[str, Extracted]:
    """Run images through the backbones of some variants, and add the maps to their caches.

    Each shard is written whole, then its index: killed in between, the next run does that shard again.

    Args:
        context: the store of images and maps.
        settings: that describe the variants; batch and shard sizes.
        variants: whose caches lack all of these images.
        images: each once.

    Raises:
        DataError: an image cannot be decoded, or a map leaves the range of float16.
    """
    if not images:
        return {maps.variant: Extracted(0, 0.0) for maps in variants}
    started = time.monotonic()
    release_memory()  # of calibration, and of the part before
    extractors = [_Extractor(context, settings, maps) for maps in variants]
    release_memory()  # of building them
    size, shard = settings.images.size, settings.features.shard_size
    most = max(BLOCK, *(extractor.batch_size for extractor in extractors))
    block = math.ceil(shard / math.ceil(shard / most))  # so that blocks fill a shard without remainder
    workers = 1 if tf.config.list_logical_devices("GPU") else AT_ONCE
    batches = (
        (extractor, chosen[start : start + extractor.batch_size], pixels[start : start + extractor.batch_size])
        for chosen, pixels in read_blocks(context.store, images, size, block, settings.augment)
        for extractor in extractors
        for start in range(0, len(chosen), extractor.batch_size)
    )
    with ThreadPoolExecutor(1, thread_name_prefix="shard") as writer:
        for extractor, chosen, maps, seconds in map_ahead(_run, batches, workers, "backbone", ahead=workers):
            extractor.add(chosen, maps)
            extractor.seconds += seconds / workers
            if extractor.filled >= shard:
                extractor.flush(writer)
        for extractor in extractors:
            extractor.flush(writer)
            extractor.wait()
    seconds = time.monotonic() - started
    shared = (seconds - sum(extractor.seconds for extractor in extractors)) / len(extractors)
    rates = {extractor.maps.variant: round(len(images) / extractor.seconds, 1) for extractor in extractors}
    log.info("%d images in %.1f s; each backbone by itself, images a second: %s", len(images), seconds, rates)
    return {extractor.maps.variant: Extracted(len(images), extractor.seconds + shared) for extractor in extractors}


def _run(
    batch: tuple[_Extractor, Sequence[ImageSource], np.ndarray],
) -> tuple[_Extractor, Sequence[ImageSource], np.ndarray, float]:
    extractor, images, pixels = batch
    started = time.monotonic()
    maps = extractor.run(pixels)
    return extractor, images, maps, time.monotonic() - started


class _Extractor:
    """One variant's backbone, and the maps of it that are not written yet."""

    def __init__(self, context: Context, settings: Settings, maps: FeatureMaps) -> None:
        self.maps, self.seconds = maps, 0.0
        self._store: Store = context.store
        function = build_frozen(settings, maps.variant, maps.precision)
        self._batching: Batching = choose_batching(context, settings, maps.variant, maps.fingerprint, function)
        # Rounded here: NumPy takes ten times as long.
        self._function = compiled(lambda images: tf.cast(function(images), tf.float16), self._batching.xla)
        self._shard_size = settings.features.shard_size
        self._ids: list[str] = []
        self._shard: np.ndarray | None = None
        self._writing: Future[None] | None = None

    @property
    def batch_size(self) -> int:
        """Images that the backbone takes at most."""
        return self._batching.batch_size

    @property
    def filled(self) -> int:
        """Maps that wait to be written."""
        return len(self._ids)

    def run(self, pixels: np.ndarray) -> np.ndarray:
        """Maps float16 [n, H, W, C] of images float32 [n, size, size, 3]."""
        missing = self.batch_size - len(pixels)
        if not self._batching.xla or not missing:
            return self._function(pixels)
        # XLA would compile again for another number of images.
        return self._function(np.pad(pixels, ((0, missing), (0, 0), (0, 0), (0, 0))))[: len(pixels)]

    def add(self, images: Sequence[ImageSource], maps: np.ndarray) -> None:
        """Keep maps until they are written."""
        if self._shard is None:
            # One piece of memory for the shard: many small ones would be freed in another order, and leave holes.
            self._shard = np.empty((self._shard_size + self.batch_size, *maps.shape[1:]), np.float16)
        self._shard[self.filled : self.filled + len(maps)] = maps
        self._ids += [image.image_id for image in images]

    def flush(self, writer: ThreadPoolExecutor) -> None:
        """Begin to write what waits, after the shard before it."""
        self.wait()
        if self._shard is not None:
            ids, maps = self._ids, self._shard[: self.filled]
            self._ids, self._shard = [], None
            self._writing = writer.submit(write_shard, self._store, self.maps.prefix, ids, maps)

    def wait(self) -> None:
        """Until the shard that is being written is there; raises what went wrong."""
        if self._writing is not None:
            self._writing.result()
            self._writing = None
