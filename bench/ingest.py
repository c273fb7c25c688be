"""What ingest costs above reading, hashing and decoding, and what it costs when little is new."""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from bench.tables import store_snapshot
from ml.config import Settings
from ml.context import Context
from ml.snapshots import publish_snapshot
from ml.steps import ingest, validate
from ml.storage import open_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bench.record import Measured

__all__ = ["measure"]

IMAGES, ARRIVALS = 20_000, 200
SIDE = 224
#: The bare loop runs in so many processes, one after the other, each over its part of the images: one process may be
#: half as slow again as another, as its buffers happen to lie in memory.
PROCESSES = 20
ROWS = 1_000_000


def measure() -> Measured:
    """Take in 20,000 JPEG files of about 8 KB, then 1 % more, on one core, after a bare loop over the same files.

    Files removed shortly before make new ones dearer: ext4 without a journal passes over each inode that was freed in
    the last minutes, which doubled the time of a run that followed another at once. So let five minutes pass between
    two runs.
    """
    with tempfile.TemporaryDirectory() as folder:
        context = _context(Path(folder), 50)  # a process pays for imports and memory the first time it does a thing
        _take_in(context)
        _land(Path(folder), range(50, 60))
        _take_in(context)
    with tempfile.TemporaryDirectory() as folder, _one_core():
        context = _context(Path(folder), IMAGES)
        size = sum(info.size for info in context.store.list("landing/")) / IMAGES
        paths = sorted(Path(folder, "landing").rglob("*.jpg"))
        bare = [_in_a_process(paths[part::PROCESSES]) for part in range(PROCESSES)]
        first = _seconds(lambda: _take_in(context))
        _land(Path(folder), range(IMAGES, IMAGES + ARRIVALS))
        second = _seconds(lambda: _take_in(context))
    return {
        "question": f"How many images of {size / 1000:.1f} KB does one core take in, what do 1 % more cost, "
        f"and how long does the validation of {ROWS:,} images take?",
        "baseline": "a bare loop over the same images on the same core: read, SHA-256 of the bytes, decode to RGB by "
        f"Pillow, SHA-256 of the pixels; in {PROCESSES} processes, one after the other",
        "figures": {
            "bare_loop_images_per_second": IMAGES / sum(bare),
            "slowest_bare_loop_images_per_second": IMAGES / PROCESSES / max(bare),
            "fastest_bare_loop_images_per_second": IMAGES / PROCESSES / min(bare),
            "ingest_images_per_second": IMAGES / first,
            "first_seconds": first,
            "one_per_cent_new_seconds": second,
            "million_rows_validated_seconds": _validation(),
        },
        "ratios": {"throughput_vs_bare_loop": sum(bare) / first, "incremental_vs_first": second / first},
    }


def _validation() -> float:
    """The task ``validate``, reading its tables and writing its page included."""
    with tempfile.TemporaryDirectory() as folder:
        context = _context(Path(folder), 0)
        snapshot_id = store_snapshot(context, ROWS)
        return _seconds(lambda: validate.run(context, snapshot_id))


@contextmanager
def _one_core() -> Iterator[None]:
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def _context(folder: Path, images: int) -> Context:
    """A store with so many images in its landing zone."""
    _land(folder, range(images))
    settings = Settings.model_validate({"store": {"url": str(folder), "cache_dir": folder / "cache"}})
    return Context(settings, open_store(settings.store))


def _land(folder: Path, numbers: range) -> None:
    """Write pictures of soft shapes, no two alike."""
    for number in numbers:
        coarse = np.random.default_rng(number).integers(0, 256, (14, 14), np.uint8)
        image = Image.fromarray(coarse).resize((SIDE, SIDE), Image.Resampling.BICUBIC).convert("RGB")
        path = folder / f"landing/{'ab'[number % 2]}/{number:06d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        image.save(path, quality=88)


def _in_a_process(paths: list[Path]) -> float:
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(_bare_loop, paths).result()


def _bare_loop(paths: list[Path]) -> float:
    started = time.perf_counter()
    for path in paths:
        data = path.read_bytes()
        hashlib.sha256(data).hexdigest()
        with Image.open(io.BytesIO(data)) as image:
            hashlib.sha256(image.convert("RGB").tobytes()).hexdigest()
    return time.perf_counter() - started


def _take_in(context: Context) -> None:
    publish_snapshot(context.store, ingest.run(context, datetime.now(UTC))["snapshot_id"])


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
