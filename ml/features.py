"""The cache of feature maps: append-only shards, so that an image passes through a backbone once in its life."""

from __future__ import annotations

import hashlib
import json
import logging
import mmap
import tempfile
from collections import OrderedDict
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ml.errors import CorruptShardError, DataError, NotFoundError
from ml.storage import dump_json, put_once, read_json
from ml.threads import map_ahead

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ml.config import Settings
    from ml.storage import Store

__all__ = ["CORRUPT", "FeatureReader", "digest_of", "features_fingerprint", "set_aside", "write_shard"]

log = logging.getLogger(__name__)

READERS = 8
#: Below a cache's prefix: shards whose bytes are not what their index says.
CORRUPT = "corrupt/"
#: Bytes of the cache that a reader may keep in memory beside the maps it hands out.
RESIDENT_BYTES = 2**26
#: Shards that a reader has open at once: each takes a file descriptor, of which a process has a thousand or so.
OPEN_SHARDS = 256
#: Maps that are averaged at a time.
POOLED = 64
#: Bits of a float16 without its sign, and from where on they are infinity or no number. NumPy compares whole numbers
#: in a quarter of the time that it takes to look at each float16.
ABSOLUTE, INFINITE = np.uint16(0x7FFF), np.uint16(0x7C00)


def features_fingerprint(settings: Settings, variant: str, weights: str, precision: str) -> str:
    """Name of everything that decides a feature map besides the image: 16 hexadecimal digits.

    Args:
        settings: the input size and the variant's options.
        variant: its name does not count, its options do.
        weights: digest of the backbone's weights.
        precision: of its arithmetic.
    """
    from ml.folding import FOLDING_VERSION
    from ml.preprocessing import PREPROCESSING_VERSION

    decisive = {
        "variant": settings.variants[variant].model_dump(),
        "weights": weights,
        "size": settings.images.size,
        "preprocessing": PREPROCESSING_VERSION,
        "folding": FOLDING_VERSION,
        "precision": precision,
    }
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()[:16]


class FeatureReader:
    """Reads cached feature maps of one variant by image id.

    A shard is held against the digest in its index when it is first read. What was read stays in memory only up to a
    bound, so that a pass over all maps takes no more memory than one over a few.

    Args:
        store: where the shards lie.
        prefix: of the variant and fingerprint.
        cache: folder for local copies of shards that must be memory-mapped.
    """

    def __init__(self, store: Store, prefix: str, cache: Path) -> None:
        self._store, self._prefix, self._cache = store, prefix, cache
        self._places: dict[str, tuple[str, int]] = {}
        self._digests: dict[str, str] = {}
        self._shards: OrderedDict[str, _Shard] = OrderedDict()
        self._sound: set[str] = set()
        self._shape: tuple[int, int, int] | None = None
        self._resident = 0
        keys = [info.key for info in store.list(prefix) if info.key.endswith(".json")]
        for key, index in zip(keys, map_ahead(lambda key: read_json(store, key), keys, READERS, "index"), strict=True):
            shard = key.removesuffix(".json") + ".npy"
            self._digests[shard] = index["sha256"]
            _, height, width, channels = index["shape"]
            self._shape = (height, width, channels)
            self._places |= {image_id: (shard, row) for row, image_id in enumerate(index["image_ids"])}

    def __contains__(self, image_id: object) -> bool:
        return image_id in self._places

    def shape(self) -> tuple[int, int, int]:
        """H, W and C of one feature map."""
        if self._shape is None:
            raise DataError(f"There are no feature maps under {self._prefix}.", "Run extract.")
        return self._shape

    def take(self, image_ids: Sequence[str]) -> np.ndarray:
        """Feature maps in the order asked for: float16 [N, H, W, C].

        Raises:
            DataError: an image has not been extracted.
            CorruptShardError: a shard's bytes are not what its index says.
        """
        rows: dict[str, tuple[list[int], list[int]]] = {}
        for position, image_id in enumerate(image_ids):
            shard, row = self._place(image_id)
            positions, chosen = rows.setdefault(shard, ([], []))
            positions.append(position)
            chosen.append(row)
        maps = np.empty((len(image_ids), *self.shape()), dtype=np.float16)
        for shard, (positions, chosen) in rows.items():
            stored = self._open(shard).maps
            for position, row in zip(positions, chosen, strict=True):
                maps[position] = stored[row]  # one by one: a list of rows would be copied twice
        self._release(maps.nbytes)
        return maps

    def take_pooled(self, image_ids: Sequence[str]) -> np.ndarray:
        """Means of feature maps over height and width, in the order asked for: float32 [N, C].

        Few maps are in memory at a time.

        Raises:
            DataError: an image has not been extracted.
            CorruptShardError: a shard's bytes are not what its index says.
        """
        means = np.empty((len(image_ids), self.shape()[-1]), dtype=np.float32)
        for start in range(0, len(image_ids), POOLED):
            chosen = slice(start, start + POOLED)
            means[chosen] = self.take(image_ids[chosen]).mean(axis=(1, 2), dtype=np.float64)
        return means

    def corrupt(self, image_ids: Iterable[str]) -> list[str]:
        """Read all shards that hold some images, and return the keys of those that are not what their index says."""
        shards = sorted({self._places[image_id][0] for image_id in image_ids if image_id in self._places})
        return [shard for shard in shards if not self._is_sound(shard)]

    def _is_sound(self, shard: str) -> bool:
        try:
            self._checked(shard)
        except CorruptShardError as error:
            log.warning("%s", error)
            return False
        return True

    def _place(self, image_id: str) -> tuple[str, int]:
        try:
            return self._places[image_id]
        except KeyError:
            raise DataError(f"Image {image_id} has no feature map under {self._prefix}.", "Run extract.") from None

    def _open(self, shard: str) -> _Shard:
        if shard not in self._shards:
            self._shards[shard] = _Shard(self._checked(shard))
            if len(self._shards) > OPEN_SHARDS:
                self._shards.popitem(last=False)
        self._shards.move_to_end(shard)
        return self._shards[shard]

    def _checked(self, shard: str) -> Path:
        """A local file with the shard's bytes; a copy that went bad is fetched again."""
        for _ in range(2):
            try:
                path = self._store.materialize(shard, self._cache)
            except NotFoundError as error:
                raise CorruptShardError(f"{self._store.uri(shard)} is gone, its index is there.", RETRY) from error
            if shard in self._sound:
                return path
            found = digest_of(path)
            if found == self._digests[shard]:
                self._sound.add(shard)
                return path
            self._store.discard(shard, self._cache)
        raise CorruptShardError(
            f"{self._store.uri(shard)} has SHA-256 {found}, its index says {self._digests[shard]}.", RETRY
        )

    def _release(self, read: int) -> None:
        self._resident += read
        if self._resident > RESIDENT_BYTES:
            for shard in self._shards.values():
                shard.release()
            self._resident = 0


RETRY = "Retrain: `list_missing` moves it aside, and its images are extracted again."


class _Shard:
    """A memory-mapped ``.npy`` file; nothing in it is ever unpickled."""

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            version = np.lib.format.read_magic(file)
            formats = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
            self._shape, _, self._dtype = formats[version](file)
            self._offset = file.tell()
            self._mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    @cached_property
    def maps(self) -> np.ndarray:
        """float16 [N, H, W, C], read-only."""
        flat = np.frombuffer(self._mapped, self._dtype, offset=self._offset)
        return flat.reshape(self._shape)

    def release(self) -> None:
        """Give back the memory of the pages that were read; the system keeps them as far as it has room."""
        self._mapped.madvise(mmap.MADV_DONTNEED)


def write_shard(store: Store, prefix: str, ids: Sequence[str], maps: np.ndarray) -> None:
    """Add feature maps to a cache: the shard, then the index that makes it known.

    Args:
        store: of the cache.
        prefix: of the variant and fingerprint.
        ids: of the images, in the order of their maps.
        maps: float16 [N, H, W, C].

    Raises:
        DataError: a value is not finite: it did not fit into float16.
    """
    largest = (maps.view(np.uint16) & ABSOLUTE).max(axis=(1, 2, 3))
    finite = largest < INFINITE
    if not finite.all():
        first = ids[int(np.argmin(finite))]
        raise DataError(
            f"Feature maps of {prefix}, that of image {first} first, leave the range of float16.",
            "Check the backbone's weights.",
        )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "shard.npy"
        np.save(path, maps, allow_pickle=False)
        digest = digest_of(path)
        # Named by what it holds: tasks that extract the same images at once write the same, or two shards.
        name = prefix + hashlib.sha256("\n".join([digest, *ids]).encode()).hexdigest()[:16]
        store.upload(path, f"{name}.npy")
        index = {"image_ids": list(ids), "shape": list(maps.shape), "sha256": digest, "bytes": path.stat().st_size}
    put_once(store, f"{name}.json", dump_json(index))


def set_aside(store: Store, shard: str) -> str:
    """Take a corrupt shard out of its cache; its bytes are kept, and its key is returned."""
    prefix, _, name = shard.rpartition("/")
    kept = f"{prefix}/{CORRUPT}{name}"
    store.delete(shard.removesuffix(".npy") + ".json")  # first: without its index nobody reads it
    try:
        store.put(kept, store.get(shard))
    except NotFoundError:
        log.warning("%s is gone; only its index was there", shard)
        return kept
    store.delete(shard)
    log.warning("%s was moved to %s", shard, kept)
    return kept


def digest_of(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
