"""What a retrain costs, against the recipe that sends every image through the backbones in every epoch."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import tempfile
import time
from collections import deque
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.drawn import land
from bench.plots import draw_costs
from bench.record import RESULTS, ROOT
from ml.config import Settings
from ml.context import Context
from ml.storage import open_store

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

    from bench.record import Measured
    from ml.calibration import Batching
    from ml.extraction import FeatureMaps
    from ml.sources import ImageSource

__all__ = ["measure"]

IMAGES, EPOCHS, WARM_EPOCHS = 5000, 20, 5
ARRIVALS = IMAGES // 20
#: Of the recipe, whose time for an epoch is in proportion to its images.
SAMPLE = 192
#: For the rate of a whole extraction step: seconds of images beyond the first, which also pay for the graph.
STEP_SECONDS, REPEATS = 12, 3
COUNTS = (1000, 2000, 5000, 10_000, 20_000)


def measure() -> Measured:
    """Retrain four variants at 224 x 224 as users would: cold, with 5 % new images, and with heads that start warm.

    The recipe is measured over one epoch of a stated sample and multiplied; everything else runs whole, through the
    steps that the DAG runs, MLflow included, in one process. Importing TensorFlow is left out: once for the recipe,
    once a task for the DAG, which is some ten seconds for each of `list_missing`, `extract` and the four `train`.
    """
    with tempfile.TemporaryDirectory() as name:
        context = _context(Path(name))
        land(Path(name) / "store", range(IMAGES))
        _ingest(context)
        cold, samples = _retrain(context, "cold")
        recipe = _recipe(context, samples) * EPOCHS
        floor = _floors(context)
        land(Path(name) / "store", range(IMAGES, IMAGES + ARRIVALS))
        _ingest(context)
        _crown(context, "cold")
        incremental, grown = _retrain(context, "incremental")
        warm, _ = _retrain(_warm(context), "warm")
        # The new images were extracted by the run before.
        warm["extraction"] = incremental["extraction"]
        warm["total"] += incremental["extraction"]
        quality = {run: _evaluate(context, run) for run in ("incremental", "warm")}
        recipe_grown = recipe * len(grown) / len(samples)
    scaling = [_scaling(count) for count in COUNTS]
    figures = {
        "images": float(IMAGES),
        "epochs": float(EPOCHS),
        "warm_epochs": float(WARM_EPOCHS),
        "recipe_sample_images": float(SAMPLE),
        "recipe_seconds_an_epoch": recipe / EPOCHS,
        "recipe_seconds": recipe,
        **{f"cold_{part}_seconds": seconds for part, seconds in cold.items()},
        **{f"incremental_{part}_seconds": seconds for part, seconds in incremental.items()},
        **{f"warm_{part}_seconds": seconds for part, seconds in warm.items()},
        **{f"{run}_{what}": score for run, scores in quality.items() for what, score in scores.items()},
        **{f"{variant}_{what}": rate for variant, rates in floor.items() for what, rate in rates.items()},
        **_fit(scaling),
    }
    draw_costs(figures, scaling, RESULTS / "train.png")
    return {
        "question": "How long, without importing TensorFlow, does a retrain of four variants on "
        f"{IMAGES:,} images at 224 x 224 and {EPOCHS} epochs take: from nothing, with {ARRIVALS} new images, and then "
        f"with heads that start warm ({WARM_EPOCHS} epochs)?",
        "baseline": "the recipe: Keras fit through the frozen float32 backbone in every epoch, from a generator that "
        f"decodes JPEG files, on oversampled training images; one epoch over {SAMPLE} images in the shares of the "
        f"splits, times {EPOCHS} and {IMAGES} / {SAMPLE}",
        "figures": figures,
        "ratios": {
            "cold_vs_recipe": recipe / cold["total"],
            "incremental_vs_recipe": recipe_grown / incremental["total"],
            "warm_start_vs_recipe": recipe_grown / warm["total"],
            "extract_vs_floor_min": min(rates["share_of_floor"] for rates in floor.values()),
            "extract_vs_folded_floor_min": min(rates["share_of_folded_floor"] for rates in floor.values()),
            "memory_20k_vs_2k": _of(scaling, 20_000)["peak_gib"] / _of(scaling, 2000)["peak_gib"],
        },
    }


def _context(folder: Path) -> Context:
    settings = Settings.model_validate(
        {
            "store": {"url": str(folder / "store"), "cache_dir": folder / "cache"},
            "weights": "random",
            "train": {"epochs": EPOCHS, "patience": EPOCHS, "warm_epochs": WARM_EPOCHS},
            "tracking_uri": f"sqlite:///{folder / 'mlflow.db'}",
            "artifact_uri": str(folder / "artifacts"),
        }
    )
    return Context(settings, open_store(settings.store))


def _warm(context: Context) -> Context:
    train = context.settings.train.model_copy(update={"warm_start": True})
    return Context(context.settings.model_copy(update={"train": train}), context.store)


def _ingest(context: Context) -> None:
    from ml.snapshots import publish_snapshot
    from ml.steps import ingest

    publish_snapshot(context.store, ingest.run(context, datetime.now(UTC))["snapshot_id"])


def _retrain(context: Context, run_id: str) -> tuple[dict[str, float], pd.DataFrame]:
    """Seconds of a retrain by step, and the run's samples."""
    from ml.plan import load_samples
    from ml.steps import extract, list_missing, split, train

    started = time.perf_counter()
    plan = split.run(context, run_id)
    parts, listing = _timed(lambda: list_missing.run(context, run_id))
    _, extraction = _timed(lambda: [extract.run(context, run_id, part) for part in parts])
    _, training = _timed(lambda: [train.run(context, run_id, variant) for variant in plan["variants"]])
    total = time.perf_counter() - started
    seconds = {"listing": listing, "extraction": extraction, "training": training, "total": total}
    return seconds, load_samples(context.store, run_id)


def _recipe(context: Context, samples: pd.DataFrame) -> float:
    """Seconds of an epoch of the recipe over all images of a run, from one over a sample, for the four variants."""
    from bench.recipe import fit_epoch

    share = SAMPLE / len(samples)
    root = Path(context.store.url)
    chosen = {}
    for split in ("train", "validation"):
        rows = samples[samples["split"] == split]
        rows = rows.loc[rows.index.repeat(rows["repeats"])]
        files, labels = [root / uri for uri in rows["uri"]], rows["label"].tolist()
        picked = np.random.default_rng(0).permutation(len(files))[: round(len(files) * share)]
        chosen[split] = [(files[index], labels[index]) for index in picked]
    seconds = [
        fit_epoch(context.settings, variant, chosen["train"], chosen["validation"])
        for variant in context.settings.variants
    ]
    return sum(seconds) / share


def _floors(context: Context) -> dict[str, dict[str, float]]:
    """Images a second of each backbone in bare loops, and through the whole step.

    The floor is a loop over the backbone with constant weights, as TensorFlow's own rewrites leave it, in the best
    precision and batch. The loop over the folded graph, which the step runs, shows what the step adds to it.
    """
    from ml.feature_plan import load_maps
    from ml.plan import load_samples
    from ml.sources import image_sources

    images = image_sources(load_samples(context.store, "cold"))
    maps = load_maps(context.store, "cold")
    return {variant: _floor(context, one, images) for variant, one in maps.items()}


def _floor(context: Context, maps: FeatureMaps, images: list[ImageSource]) -> dict[str, float]:
    from ml.calibration import choose_batching
    from ml.inference import build_frozen

    settings = context.settings
    plain = build_frozen(settings, maps.variant, maps.precision, folding=False)
    folded = build_frozen(settings, maps.variant, maps.precision)
    batching = choose_batching(context, settings, maps.variant, maps.fingerprint, folded)
    run_plain, run_folded = (_loop(function, batching, settings.images.size) for function in (plain, folded))
    count = batching.batch_size * max(2, round(STEP_SECONDS * run_folded(2) / batching.batch_size))
    measured = [
        (run_plain(count), run_folded(count), _step_rate(context, maps, images[:count])) for _ in range(REPEATS)
    ]
    # Medians: a step's rate is a difference of two runs, and the largest one that of a run that was held up.
    bare, bare_folded, step = (median(rates) for rates in zip(*measured, strict=True))
    return {
        "bare_images_per_second": bare,
        "bare_folded_images_per_second": bare_folded,
        "step_images_per_second": step,
        "share_of_floor": step / bare,
        "share_of_folded_floor": step / bare_folded,
    }


def _loop(function: Any, batching: Batching, size: int) -> Callable[[int], float]:
    """A bare loop, that gives images a second over some number of them."""
    from ml.calibration import compiled

    run = compiled(function, batching.xla)
    batch = np.random.default_rng(0).random((batching.batch_size, size, size, 3), np.float32)
    run(batch)

    def rate(count: int) -> float:
        batches = math.ceil(count / len(batch))
        # Nothing keeps the maps: memory that is touched for the first time would slow the floor down.
        _, seconds = _timed(lambda: deque(map(run, [batch] * batches), maxlen=0))
        return batches * len(batch) / seconds

    return rate


def _step_rate(context: Context, maps: FeatureMaps, images: list[ImageSource]) -> float:
    """Read, decode, resize, run and write into a cache of its own; its start is subtracted: graph, first block."""
    from ml.extraction import extract_maps

    few = images[:64]
    with tempfile.TemporaryDirectory() as folder:
        elsewhere = Context(context.settings, _ReadHereWriteThere(context, Path(folder)))
        _, short = _timed(lambda: extract_maps(elsewhere, context.settings, [maps], few))
        _, long = _timed(lambda: extract_maps(elsewhere, context.settings, [maps], images))
    return (len(images) - len(few)) / (long - short)


def _evaluate(context: Context, run_id: str) -> dict[str, float]:
    """Macro F1 on the test split: of the best of the run on validation images, and the mean over its candidates."""
    from ml.steps import evaluate

    scores = [float(row["macro_f1"]) for row in evaluate.run(context, run_id)["leaderboard"]]
    return {"macro_f1": scores[0], "mean_macro_f1": sum(scores) / len(scores)}


def _crown(context: Context, run_id: str) -> None:
    """Make a run's first head the champion, whose run the warm heads start from."""
    from ml.candidates import load_candidate
    from ml.promotions import Change, append_change
    from ml.serving_state import ServingState

    candidate = load_candidate(context.store, run_id, next(iter(context.settings.variants)))
    change = Change(
        number=1,
        action="promote",
        version=1,
        serving=ServingState(stable=1),
        run_id=run_id,
        variant=candidate.name,
        snapshot_id=candidate.snapshot_id,
        by="bench",
        reason="for the bench",
        at=datetime.now(UTC).isoformat(),
    )
    append_change(context.store, context.settings.model_name, change)


def _scaling(count: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "bench.scaling", str(count), folder]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def _of(scaling: list[dict[str, float]], count: int) -> dict[str, float]:
    return next(one for one in scaling if one["images"] == count)


def _fit(scaling: list[dict[str, float]]) -> dict[str, float]:
    """Straight lines through time against images, and how far the points lie from them."""
    counts = np.array([one["images"] for one in scaling])
    fitted: dict[str, float] = {}
    for what in ("extraction_seconds", "epoch_seconds"):
        seconds = np.array([one[what] for one in scaling])
        slope, offset = np.polyfit(counts, seconds, 1)
        fit = slope * counts + offset
        residual = np.abs(seconds / fit - 1).max()
        fitted |= {
            f"mobilenet_{what}_per_1000_images": slope * 1000,
            f"mobilenet_{what}_offset": offset,
            f"mobilenet_{what}_largest_residual_share": residual,
        }
    by_count = {
        f"mobilenet_{int(one['images'])}_images_{what}": one[what]
        for one in scaling
        for what in ("extraction_seconds", "epoch_seconds", "start_seconds", "extraction_peak_gib", "peak_gib")
    }
    return {name: float(value) for name, value in (fitted | by_count).items()}


def _timed(work: Callable[[], Any]) -> tuple[Any, float]:
    started = time.perf_counter()
    result = work()
    return result, time.perf_counter() - started


class _ReadHereWriteThere:
    """The store's images, and a cache of feature maps that is thrown away."""

    def __init__(self, context: Context, folder: Path) -> None:
        self._here = context.store
        self._there = open_store(context.settings.store.model_copy(update={"url": str(folder)}))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._there if name in {"upload", "put", "put_if_absent"} else self._here, name)
