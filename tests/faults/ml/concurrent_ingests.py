"""Ten ingests at once on one bucket, each with images of its own. Run as a program: it forks after the imports."""

from __future__ import annotations

import io
import os
import sys
import traceback
import warnings
from datetime import UTC, datetime

import numpy as np
from PIL import Image

from ml.config import Settings
from ml.context import Context
from ml.steps import clear_landing, describe, ingest, publish_snapshot, validate
from ml.storage import open_store

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import great_expectations  # noqa: F401 - once, before the fork: it takes seconds

NOW = datetime(2026, 1, 2, tzinfo=UTC)


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


def picture(seed: int) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (32, 32, 3), np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def one_of_many(number: int, images: int, context: Context) -> None:
    """Bring some images, of which one is the same for all and one is junk, and ingest whatever is there by then."""
    for index in range(images):
        context.store.put(f"landing/{'ab'[index % 2]}/{number}-{index}.png", picture(1000 * number + index))
    context.store.put(f"landing/a/{number}-same.png", picture(7))
    context.store.put(f"landing/b/{number}-junk.png", b"no image %d" % number)
    arrivals = ingest.run(context, NOW)
    if arrivals["changed"]:
        describe.run(context, arrivals["snapshot_id"])
        validate.run(context, arrivals["snapshot_id"])
        publish_snapshot.run(context, arrivals["snapshot_id"])
    clear_landing.run(context)


def main() -> None:
    """Arguments: the store's address, its endpoint, a folder for copies; images of each class, ingests, images each."""
    place, (first, ingests, images) = sys.argv[1:4], map(int, sys.argv[4:])
    context = context_of(*place)
    for label in "ab":
        for index in range(first):
            context.store.put(f"landing/{label}/first-{index}.png", picture(50_000 + 100 * (label == "b") + index))
    children = {}
    for number in range(1, ingests + 1):
        child = os.fork()
        if child == 0:
            status = 1
            try:
                one_of_many(number, images, context_of(*place))
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
