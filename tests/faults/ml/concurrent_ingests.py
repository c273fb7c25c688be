"""Ten ingests at once on one bucket, each with images of its own. Run as a program: it forks after the imports."""

from __future__ import annotations

import io
import json
import multiprocessing
import os
import sys
import time
import traceback
import warnings
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from ml import layout
from ml.config import Settings
from ml.context import Context
from ml.steps import assemble, clear_landing, describe, list_arrivals, publish_snapshot, take_in, validate
from ml.storage import open_store

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.synchronize import Barrier

    from ml.storage import Store

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import great_expectations  # noqa: F401 - once, before the fork: it takes seconds

NOW = datetime(2026, 1, 2, tzinfo=UTC)
PAUSE_SECONDS, STEP_SECONDS, MEETING_SECONDS = 1.0, 0.1, 120.0


def context_of(url: str, endpoint: str, cache: str) -> Context:
    settings = Settings.model_validate(
        {
            "store": {"url": url, "endpoint_url": endpoint, "cache_dir": cache},
            "classes": ["a", "b"],
            "validation": {"min_images_per_class": 3, "data_docs": False},
            "duplicates": {"max_distance": None},
            "landing": {"chunk_size": 5},
        }
    )
    return Context(settings, open_store(settings.store))


def hesitant(store: Store, number: int, meeting: Barrier) -> Store:
    """Make a store whose pointer to the newest snapshot is written long after it was read, for others to come between.

    All ingests meet at the first write. Every third goes first: each of these knows more than the one before, and
    those that come last know less than some that came before them. What was written is printed.
    """

    def late(write: Callable[..., str], first: bool) -> Callable[..., str]:
        def write_late(key: str, data: bytes, *condition: str) -> str:
            if key != layout.LATEST_SNAPSHOT:
                return write(key, data, *condition)
            if first:
                meeting.wait(MEETING_SECONDS)
            time.sleep(PAUSE_SECONDS + STEP_SECONDS * rank)
            etag = write(key, data, *condition)
            os.write(sys.stdout.fileno(), f"{json.loads(data)['snapshot_id']}\n".encode())
            return etag

        return write_late

    rank = sorted(range(1, meeting.parties + 1), key=lambda other: other % 3).index(number)
    store.put_if_absent = late(store.put_if_absent, first=True)
    store.put_if_match = late(store.put_if_match, first=False)
    return store


def picture(seed: int) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (32, 32, 3), np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def begin(number: int, images: int, context: Context) -> list[str]:
    """Bring some images, of which one is the same for all and one is junk, and list whatever is there by then."""
    for index in range(images):
        context.store.put(f"landing/{'ab'[index % 2]}/{number}-{index}.png", picture(1000 * number + index))
    context.store.put(f"landing/a/{number}-same.png", picture(7))
    context.store.put(f"landing/b/{number}-junk.png", b"no image %d" % number)
    return list_arrivals.run(context, f"ingest-{number}", NOW)


def finish(number: int, chunks: list[str], context: Context) -> None:
    for chunk in chunks:
        take_in.run(context, f"ingest-{number}", chunk)
    snapshot_id = assemble.run(context, f"ingest-{number}")["snapshot_id"]
    describe.run(context, snapshot_id)
    validate.run(context, snapshot_id)
    publish_snapshot.run(context, snapshot_id)
    clear_landing.run(context)


def main() -> None:
    """Arguments: the store's address, its endpoint, a folder for copies; images of each class, ingests, images each."""
    place, (first, ingests, images) = sys.argv[1:4], map(int, sys.argv[4:])
    context = context_of(*place)
    for label in "ab":
        for index in range(first):
            context.store.put(f"landing/{label}/first-{index}.png", picture(50_000 + 100 * (label == "b") + index))
    # Each knows what those before it brought, and none knows what another publishes.
    chunks = {number: begin(number, images, context) for number in range(1, ingests + 1)}
    meeting = multiprocessing.get_context("fork").Barrier(ingests)
    children = {}
    for number in chunks:
        child = os.fork()
        if child == 0:
            status = 1
            try:
                own = context_of(*place)
                finish(number, chunks[number], Context(own.settings, hesitant(own.store, number, meeting)))
                status = 0
            except BaseException:  # noqa: BLE001 - it must not leave this process
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(status)
        children[child] = number
    failed = sorted(children[child] for child in children if os.waitpid(child, 0)[1])
    sys.exit(f"ingests {failed} failed" if failed else 0)


if __name__ == "__main__":
    main()
