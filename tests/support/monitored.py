"""A version in production, what it was made from, and rows about its requests, as training and serving leave them."""

from __future__ import annotations

import io
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from candidates import make_candidate
from ml.manifest import MANIFEST, encode, to_arrow
from ml.request_rows import RequestRow
from ml.request_store import write_requests
from ml.storage import dump_json
from promoted import record_promotion

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ml.storage import Store

__all__ = ["CLASSES", "NOON", "draw_answers", "log_requests", "make_rows", "make_version"]

CLASSES = ("glioma", "meningioma", "notumor", "pituitary")
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def draw_answers(count: int, seed: int, shares: Any = (0.25, 0.25, 0.25, 0.25), sureness: float = 4.0) -> NDArray[Any]:
    """Probabilities float64 [N, 4] of a model that is mostly sure, of classes that come in some shares."""
    generator = np.random.default_rng(seed)
    scores = generator.normal(0, 1, (count, 4))
    scores[np.arange(count), generator.choice(4, count, p=shares)] += sureness
    powers = np.exp(scores)
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def draw_measures(count: int, seed: int, brighter: float = 0.0) -> dict[str, Any]:
    """Columns of images as one scanner makes them."""
    generator = np.random.default_rng((seed, 1))
    side = generator.choice([256, 512], count, p=[0.2, 0.8])
    return {
        "width": side,
        "height": side,
        "bytes": (generator.lognormal(10, 0.3, count)).astype(int),
        "format": generator.choice(["JPEG", "PNG"], count, p=[0.9, 0.1]),
        "brightness": generator.normal(60 + brighter, 12, count),
        "contrast": generator.normal(50, 8, count),
        "sharpness": generator.lognormal(5, 0.4, count),
    }


def make_version(store: Store, model_name: str, version: int = 1, images: int = 900, tests: int = 300) -> None:
    """A snapshot, a candidate trained on it with the answers to its test images, and its promotion."""
    _store_snapshot(store, f"s{version}", images)
    candidate = make_candidate(run_id=f"run-{version}", snapshot_id=f"s{version}", classes=CLASSES)
    store.put(f"runs/run-{version}/one/candidate.json", dump_json(asdict(candidate)))
    answers = pd.DataFrame(draw_answers(tests, seed=1), columns=[f"p_{label}" for label in CLASSES])
    others = answers.head(50).assign(split="train")
    stream = io.BytesIO()
    pd.concat([answers.assign(split="test"), others]).to_parquet(stream)
    store.put(f"runs/run-{version}/one/predictions.parquet", stream.getvalue())
    at = NOON - timedelta(days=30 - version)
    record_promotion(store, model_name, f"run-{version}", "one", version, f"s{version}", at=at)


def make_rows(count: int, seed: int, version: int | None = 1, label: str | None = "stable", **drift: Any) -> list[Any]:
    """Rows about requests, one a minute up to noon; ``drift`` is what differs, of ``draw_answers`` and ``brighter``."""
    brighter = drift.pop("brighter", 0.0)
    probabilities = draw_answers(count, seed, **drift)
    measures = pd.DataFrame(draw_measures(count, seed, brighter)).to_dict("records")
    return [
        RequestRow(
            at=NOON - timedelta(minutes=count - index),
            version=version,
            label=label,
            class_id=int(one.argmax()),
            class_name=CLASSES[int(one.argmax())],
            probabilities=tuple(map(float, one)),
            status="OK",
            milliseconds=20.0,
            **measure,
        )
        for index, (one, measure) in enumerate(zip(probabilities, measures, strict=True))
    ]


def log_requests(store: Store, model_name: str, rows: list[RequestRow]) -> None:
    """Write rows as a request log does, an hour's in a part."""
    for hour in sorted({row.at.replace(minute=0) for row in rows}):
        write_requests(store, model_name, [row for row in rows if row.at.replace(minute=0) == hour])


def _store_snapshot(store: Store, snapshot_id: str, count: int) -> None:
    digests = [f"{index:064x}" for index in range(count)]
    frame = pd.DataFrame(draw_measures(count, seed=2)).assign(
        image_id=digests,
        pixel_id=digests,
        uri="images/x",
        source_key="landing/x",
        label=[CLASSES[index % 4] for index in range(count)],
        group="g",
        split="train",
        excluded=None,
        channels=1,
        perceptual_hash="0",
        ingested_at=NOON - timedelta(days=60),
        snapshot=snapshot_id,
    )
    store.put(f"snapshots/{snapshot_id}/snapshot.json", dump_json({"images": count}))
    table = to_arrow(frame[MANIFEST.columns.names], MANIFEST)
    store.put(f"snapshots/{snapshot_id}/manifest.parquet", encode(table, MANIFEST))
    store.put("snapshots/latest.json", dump_json({"snapshot_id": snapshot_id}))
