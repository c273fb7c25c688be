"""A small run from pictures to a promoted version, made once: the tests of the steps look at what it left."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from ml.config import (
    CandidateSettings,
    EvaluationSettings,
    GateSettings,
    LandingSettings,
    Settings,
    VariantSettings,
)
from ml.context import Context
from ml.storage import dump_json, open_store

if TYPE_CHECKING:
    from pathlib import Path

    from ml.storage import Store

NOW = datetime(2026, 1, 1, tzinfo=UTC)
#: Of images a class; the second is the larger one, so that oversampling has something to do.
COUNTS = {"stripes": 14, "spots": 20}


def draw(label: str, index: int) -> bytes:
    """Stripes or noise, which random features tell apart easily."""
    generator = np.random.default_rng((index, len(label)))
    pixels = generator.integers(0, 60, (64, 64, 3))
    if label == "stripes":
        pixels[:, index % 4 :: 8] += 190
    else:
        pixels += generator.integers(0, 190, (64, 64, 3))
    stream = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def write_images(store: Store) -> None:
    for label, count in COUNTS.items():
        for index in range(count):
            store.put(f"landing/{label}/{index:02d}.png", draw(label, index))


def tiny_settings(folder: Path) -> Settings:
    return Settings.model_validate(
        {
            "model_name": "tiny",
            "store": {"url": str(folder / "store"), "cache_dir": folder / "cache"},
            "images": {"size": 64},
            "variants": {
                "narrow": {"backbone": "mobilenet", "alpha": 0.25},
                "wide": {"backbone": "mobilenet", "alpha": 0.5},
            },
            "weights": "random",
            "features": {"precision": "float32", "batch_size": 16},
            "train": {"epochs": 4, "units": 8, "heads": 2, "key_dim": 4, "learning_rate": 0.01},
            "gate": {"min_macro_f1": 0.5, "champion_margin": 0},
            "tracking_uri": f"sqlite:///{folder / 'mlflow.db'}",
            "artifact_uri": str(folder / "artifacts"),
        }
    )


@dataclass(frozen=True)
class Run:
    """A finished run: its context and what each step returned."""

    context: Context
    run_id: str
    plan: dict[str, Any]
    extracted: list[dict[str, Any]]
    trained: dict[str, dict[str, Any]]
    evaluation: dict[str, Any]
    examination: dict[str, Any]
    decision: dict[str, Any]
    promotion: dict[str, Any] | None
    report: dict[str, Any]


def ingest(context: Context) -> str:
    from ml.steps import describe, ingest, publish_snapshot, validate

    snapshot_id = str(ingest.run(context, NOW)["snapshot_id"])
    describe.run(context, snapshot_id)
    validate.run(context, snapshot_id)
    publish_snapshot.run(context, snapshot_id)
    return snapshot_id


def extract_features(context: Context, run_id: str) -> list[dict[str, Any]]:
    """What became of each part of what the cache lacks of a run's images."""
    from ml.steps import extract, list_missing

    return [extract.run(context, run_id, part) for part in list_missing.run(context, run_id)]


def retrain(context: Context, run_id: str) -> Run:
    from ml.rollout import roll_out
    from ml.steps import evaluate, examine, gate, report, review_labels, split, train

    plan = split.run(context, run_id)
    extracted = extract_features(context, run_id)
    trained = {variant: train.run(context, run_id, variant) for variant in plan["variants"]}
    evaluation = evaluate.run(context, run_id)
    examination = examine.run(context, run_id)
    decision = gate.run(context, run_id)
    promotion = roll_out(context, run_id) if decision["promoted"] else None
    review_labels.run(context, run_id)
    page = report.run(context, run_id, NOW)
    return Run(context, run_id, plan, extracted, trained, evaluation, examination, decision, promotion, page)


@pytest.fixture(scope="session")
def first_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Of images from two sites, every other one from each; what is a slice is as small as the test split."""
    settings = tiny_settings(tmp_path_factory.mktemp("steps"))
    looked_at = {
        "landing": LandingSettings(attributes=("site",)),
        "evaluation": EvaluationSettings(min_slice_images=2),
    }
    settings = settings.model_copy(update=looked_at)
    context = Context(settings, open_store(settings.store))
    write_images(context.store)
    sites = [
        f"{label}/{index:02d}.png,{label},{('north', 'south')[index % 2]}"
        for label, count in COUNTS.items()
        for index in range(count)
    ]
    context.store.put("landing/labels.csv", "\n".join(["key,label,site", *sites]).encode())
    with warnings.catch_warnings():
        # Great Expectations' and MLflow's own modules warn when they are imported.
        warnings.simplefilter("ignore")
        ingest(context)
        return retrain(context, "first")


@pytest.fixture(scope="session")
def second_run(first_run: Run) -> Run:
    """The same again, on the same snapshot: nothing new to learn."""
    return retrain(first_run.context, "second")


@pytest.fixture(scope="session")
def voting_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of its own with ablations and an ensemble.

    Half of the labels are wrong: variants that learn them by heart are wrong in different images and sure of it, and
    that is when a vote is better than each of them.
    """
    from ml.steps import ingest, publish_snapshot

    settings = tiny_settings(tmp_path_factory.mktemp("voting"))
    by_heart = {
        "epochs": 6,
        "schedule": "constant",
        "warmup_epochs": 0,
        "noise": 0,
        "dropout": 0,
        "precision": "float32",
    }
    changes = {
        "candidates": CandidateSettings(ablation=True, ensemble=True),
        "variants": settings.variants | {"wide": VariantSettings(backbone="mobilenet", alpha=0.35)},
        "train": settings.train.model_copy(update=by_heart),
        "gate": GateSettings(),
    }
    settings = settings.model_copy(update=changes)
    context = Context(settings, open_store(settings.store))
    for label, other in (("stripes", "spots"), ("spots", "stripes")):
        for index in range(32):
            picture = draw(label, index) if index % 2 else draw(other, 100 + index)
            context.store.put(f"landing/{label}/{index:02d}.png", picture)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        publish_snapshot.run(context, str(ingest.run(context, NOW)["snapshot_id"]))
        return retrain(context, "vote")


@pytest.fixture(scope="session")
def ensemble_promotion(voting_run: Run) -> dict[str, Any]:
    """The ensemble as champion, as if it had won and been cleared."""
    from ml.rollout import roll_out
    from ml.steps import examine

    store, keys = voting_run.context.store, ("runs/vote/evaluation.json", "runs/vote/decision.json")
    before = [store.get(key) for key in keys]
    store.put(keys[0], dump_json(voting_run.evaluation | {"chosen": "ensemble"}))
    examine.run(voting_run.context, "vote")
    store.put(keys[1], dump_json(voting_run.decision | {"variant": "ensemble", "promoted": True}))
    promotion = roll_out(voting_run.context, "vote")
    for key, data in zip(keys, before, strict=True):
        store.put(key, data)
    return promotion


@pytest.fixture
def small_context(tmp_path: Path) -> Context:
    """A store of its own with the images in its landing zone."""
    settings = tiny_settings(tmp_path)
    context = Context(settings, open_store(settings.store))
    write_images(context.store)
    return context


@pytest.fixture
def published_context(small_context: Context) -> Context:
    """With a published snapshot, not held against the expectations."""
    from ml.steps import ingest, publish_snapshot

    publish_snapshot.run(small_context, str(ingest.run(small_context, NOW)["snapshot_id"]))
    return small_context
