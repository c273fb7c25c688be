"""Whether attention lies on the lesion: phantoms say where theirs is, and a random map says what chance makes of it."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from bench.record import Measured

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from ml.context import Context

__all__ = ["measure", "share_inside"]

IMAGES_PER_CLASS = 300
EPOCHS = 30
SEED = 11
RUN = "overlays"


def measure() -> Measured:
    """Train the four variants on phantoms with random backbone weights, and look at where their heads look."""
    figures: dict[str, float] = {}
    ratios: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        context, boxes = _prepare(Path(folder))
        test = _test_images(context, boxes)
        for variant in context.settings.variants:
            row = _measure(context, variant, test)
            figures |= {f"{variant}_{name}": value for name, value in row.items() if name != "ratio"}
            ratios[f"{variant}_attention_in_lesion_vs_random"] = row["ratio"]
        figures["test_images_with_lesion"] = len(test)
    return Measured(
        question="How much more attention lies within a phantom's lesion than a random map puts there?",
        baseline="a random map of the same grid for each image",
        figures=figures,
        ratios=ratios,
    )


def share_inside(overlay: NDArray[np.float32], box: tuple[int, int, int, int], shape: tuple[int, int]) -> float:
    """The share of an overlay [h, w] within a box (x0, y0, x1, y1, the last two exclusive) of an image [H, W]."""
    enlarged = cv2.resize(np.asarray(overlay, np.float32), shape[::-1], interpolation=cv2.INTER_LINEAR)
    left, top, right, bottom = box
    return float(enlarged[top:bottom, left:right].sum() / enlarged.sum())


def _prepare(folder: Path) -> tuple[Context, dict[str, tuple[int, int, int, int]]]:
    from ml.config import Settings
    from ml.context import Context
    from ml.phantom import draw_phantoms
    from ml.steps import extract, ingest, list_missing, publish_snapshot, split, train
    from ml.storage import open_store
    from ml.upload import upload_folder

    drawn = draw_phantoms(folder / "phantoms", IMAGES_PER_CLASS, SEED)
    settings = Settings.model_validate(
        {
            "store": {"url": str(folder / "store"), "cache_dir": folder / "cache"},
            "weights": "random",
            "train": {"epochs": EPOCHS, "patience": EPOCHS},
            "tracking_uri": f"sqlite:///{folder / 'mlflow.db'}",
            "artifact_uri": str(folder / "artifacts"),
        }
    )
    context = Context(settings, open_store(settings.store))
    upload_folder(context.store, drawn.folder)
    publish_snapshot.run(context, str(ingest.run(context, datetime.now(UTC))["snapshot_id"]))
    plan = split.run(context, RUN)
    for part in list_missing.run(context, RUN):
        extract.run(context, RUN, part)
    for variant in plan["variants"]:
        train.run(context, RUN, variant)
    return context, {f"landing/{path}": box for path, box in drawn.lesions.items()}


def _test_images(context: Context, boxes: dict[str, tuple[int, int, int, int]]) -> pd.DataFrame:
    """The test images that have a lesion, with its ``box``."""
    from ml.plan import load_plan
    from ml.snapshots import Snapshot

    manifest = Snapshot(context.store, load_plan(context.store, RUN)["snapshot_id"]).manifest
    test = manifest[(manifest["split"] == "test") & manifest["source_key"].isin(boxes)]
    return test.assign(box=test["source_key"].map(boxes))


def _measure(context: Context, variant: str, test: pd.DataFrame) -> dict[str, Any]:
    from ml.bootstrap import Draws, mean_interval
    from ml.candidates import load_candidate
    from ml.faithfulness import random_overlays
    from ml.prediction import predict
    from ml.sources import image_sources

    candidate = load_candidate(context.store, RUN, variant)
    output = predict(context, candidate, image_sources(test))
    chance = random_overlays(len(test), output["attention"].shape[1:], SEED)
    shapes = list(zip(test["height"], test["width"], strict=True))
    inside, by_chance = (
        np.array([share_inside(*one) for one in zip(maps, test["box"], shapes, strict=True)])
        for maps in (output["attention"], chance)
    )
    low, high = mean_interval(inside - by_chance, Draws(test["group"].tolist())) or (np.nan, np.nan)
    labels = test["label"].map(candidate.classes.index)
    return {
        "accuracy": float((output["probabilities"].argmax(axis=1) == labels.to_numpy()).mean()),
        "inside": float(inside.mean()),
        "random_inside": float(by_chance.mean()),
        "difference": float((inside - by_chance).mean()),
        "difference_low": float(low),
        "difference_high": float(high),
        "images_above_random_share": float((inside > by_chance).mean()),
        "ratio": float(inside.mean() / by_chance.mean()),
    }
