"""The closer look at a winner that costs backbone passes: each part of it, for some test images."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ml.changes import CHANGES
from ml.faithfulness import compare_overlays, deletion_and_insertion, random_overlays
from ml.latency import time_calls
from ml.machine import describe_machine
from ml.prediction import assemble, evidence_maps, export, predict
from ml.robustness import measure_changes
from ml.sources import changed_sources, image_sources, read_image
from ml.temperature import load_temperature, soften

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd
    from numpy.typing import NDArray

    from ml.candidates import Contender
    from ml.context import Context

__all__ = ["examine_changes", "examine_export", "examine_overlays"]

#: Images that the model is asked for at once.
BATCH = 32
#: Of bytes in what people call a megabyte.
MEGABYTE = 1_000_000


def examine_changes(context: Context, contender: Contender, images: pd.DataFrame) -> dict[str, Any]:
    """What the contender says of some images and of their changes: see :func:`ml.robustness.measure_changes`.

    A changed image's feature map is cached as that of any image: it costs a backbone pass once.

    Args:
        context: settings and store.
        contender: of the run.
        images: test images, columns image_id, uri, label and group.
    """
    count, sources = len(images), image_sources(images)
    for name in CHANGES:
        sources += changed_sources(images, name)
    temperature = load_temperature(context.store, contender)
    answers = soften(predict(context, contender, sources)["probabilities"], temperature)
    changed = {name: answers[count * place : count * (place + 1)] for place, name in enumerate(CHANGES, start=1)}
    min_unmoved = context.settings.evaluation.min_unmoved
    return measure_changes(images, answers[:count], changed, contender.classes, min_unmoved)


def examine_overlays(context: Context, contender: Contender, images: pd.DataFrame) -> dict[str, Any]:
    """How faithful attention and Grad-CAM are for the answers given: see :func:`ml.faithfulness.compare_overlays`.

    Args:
        context: settings and store.
        contender: of the run, with attention.
        images: test images, columns image_id, uri and group.
    """
    sources = image_sources(images)
    output = predict(context, contender, sources)
    class_ids = output["probabilities"].argmax(axis=1)
    attention = output["attention"]
    overlays = {
        "attention": attention,
        "grad_cam": evidence_maps(context, contender, sources, class_ids),
        "random": random_overlays(len(images), attention.shape[1:], context.settings.train.seed),
    }
    ask, size = _model(context, contender), contender.lead.restore_settings(context.settings).images.size
    curves = [
        deletion_and_insertion(
            ask,
            read_image(context.store, uri, size),
            [overlay[row] for overlay in overlays.values()],
            int(class_ids[row]),
        )
        for row, uri in enumerate(images["uri"])
    ]
    by_overlay = {name: np.stack([image[place] for image in curves]) for place, name in enumerate(overlays)}
    return compare_overlays(by_overlay, images["group"].tolist())


def examine_export(context: Context, contender: Contender, uri: str) -> dict[str, Any]:
    """Export the contender as it would be served, and weigh and time that: from an encoded image to its class.

    Args:
        context: settings and store.
        contender: of the run.
        uri: key of an image to ask for.

    Returns:
        ``size_mb`` (10^6 bytes, all files), ``latency_ms_p50`` and ``latency_ms_p95`` for one image, and ``machine``.
    """
    import tensorflow as tf

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        export(context, contender, path)
        weight = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
        loaded = tf.saved_model.load(str(path))
        serve, image = loaded.signatures["serving_default"], tf.constant([context.store.get(uri)])
        latency = time_calls(lambda: serve(image_bytes=image)["probabilities"].numpy())
    return {
        "size_mb": weight / MEGABYTE,
        "latency_ms_p50": latency.p50,
        "latency_ms_p95": latency.p95,
        "machine": describe_machine(),
    }


def _model(context: Context, contender: Contender) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    """From images float32 [n, size, size, 3] to probabilities, a batch at a time."""
    import tensorflow as tf

    model = assemble(context, contender)
    answer = tf.function(lambda images: model(images)["probabilities"], reduce_retracing=True)
    return partial(_in_batches, answer)


def _in_batches(answer: Callable[[Any], Any], images: NDArray[np.float32]) -> NDArray[np.float32]:
    starts = range(0, len(images), BATCH)
    return np.concatenate([answer(images[start : start + BATCH]).numpy() for start in starts])
