"""What ingest costs above reading, hashing and decoding, and what it costs when little is new."""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from ml.config import Settings
from ml.context import Context
from ml.snapshots import publish_snapshot
from ml.steps import ingest
from ml.storage import open_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bench.record import Measured

__all__ = ["measure"]

IMAGES, ARRIVALS = 20_000, 200
SIDE = 224


def measure() -> Measured:
    """Take in 20,000 JPEG files of about 8 KB, then 1 % more, on one core; the bare loop before and after."""
    with tempfile.TemporaryDirectory() as folder, _one_core():
        context = _context(Path(folder))
        size = sum(_land(Path(folder), number) for number in range(IMAGES)) / IMAGES
        loops = [_seconds(lambda: _bare_loop(Path(folder)))]
        first = _seconds(lambda: _take_in(context))
        loops.append(_seconds(lambda: _bare_loop(Path(folder))))
        for number in range(IMAGES, IMAGES + ARRIVALS):
            _land(Path(folder), number)
        second = _seconds(lambda: _take_in(context))
    bare = min(loops)
    return {
        "question": f"How many images of {size / 1000:.1f} KB does one core take in, and what do 1 % more cost?",
        "baseline": "a bare loop on the same core: read, SHA-256 of the bytes, decode to RGB, SHA-256 of the pixels",
        "figures": {
            "bare_loop_images_per_second": IMAGES / bare,
            "ingest_images_per_second": IMAGES / first,
            "first_seconds": first,
            "one_per_cent_new_seconds": second,
        },
        "ratios": {"throughput_vs_bare_loop": bare / first, "incremental_vs_first": second / first},
    }


@contextmanager
def _one_core() -> Iterator[None]:
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def _context(folder: Path) -> Context:
    settings = Settings.model_validate({"store": {"url": str(folder), "cache_dir": folder / "cache"}})
    return Context(settings, open_store(settings.store))


def _land(folder: Path, number: int) -> int:
    """Write a picture of soft shapes, no two alike; returns its bytes."""
    coarse = np.random.default_rng(number).integers(0, 256, (14, 14), np.uint8)
    image = Image.fromarray(coarse).resize((SIDE, SIDE), Image.Resampling.BICUBIC).convert("RGB")
    path = folder / f"landing/{'ab'[number % 2]}/{number:06d}.jpg"
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, quality=88)
    return path.stat().st_size


def _bare_loop(folder: Path) -> None:
    for path in sorted((folder / "landing").rglob("*.jpg"))[:IMAGES]:
        data = path.read_bytes()
        hashlib.sha256(data).hexdigest()
        with Image.open(io.BytesIO(data)) as image:
            hashlib.sha256(image.convert("RGB").tobytes()).hexdigest()


def _take_in(context: Context) -> None:
    publish_snapshot(context.store, ingest.run(context, datetime.now(UTC))["snapshot_id"])


def _seconds(work: Callable[[], None]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
