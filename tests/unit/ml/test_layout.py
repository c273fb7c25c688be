import re

import pytest

from ml import layout
from ml.storage import validate_key

DIGEST = "ab" * 32


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (layout.image_key(DIGEST, "png"), f"images/ab/{DIGEST}.png"),
        (layout.image_key(DIGEST, "tiff.canonical.png"), f"images/ab/{DIGEST}.tiff.canonical.png"),
        (layout.snapshot_key("000001-abc", "manifest.parquet"), "snapshots/000001-abc/manifest.parquet"),
        (layout.features_prefix("vgg16", "0f"), "features/vgg16/0f/"),
        (layout.model_prefix("classifier", 3), "models/classifier/3/"),
        (layout.run_prefix("r1"), "runs/r1/"),
        (layout.run_summary_key("classifier", "r:1"), "summaries/runs/classifier/r-1.json"),
        (layout.run_summary_key("classifier", ""), "summaries/runs/classifier/"),
        (layout.snapshot_summary_key("000001-abc"), "summaries/snapshots/000001-abc.json"),
        (layout.pack_key("summaries/runs/classifier/"), "packs/summaries/runs/classifier.json"),
        (layout.run_key("r1", "vgg16", "metrics.json"), "runs/r1/vgg16/metrics.json"),
    ],
)
def test_keys_are_spelt(key, expected):
    assert key == expected


def test_a_refused_object_and_its_records_lie_side_by_side():
    object_key, first = layout.quarantine_keys("empty", DIGEST, "landing/a/1.png")
    same_object, second = layout.quarantine_keys("empty", DIGEST, "landing/a/2.png")

    assert object_key == same_object == f"quarantine/empty/{DIGEST}/object"
    assert first != second
    assert all(re.fullmatch(rf"quarantine/empty/{DIGEST}/[0-9a-f]{{16}}\.json", key) for key in (first, second))


@pytest.mark.parametrize(
    ("run_id", "safe"),
    [
        ("manual__2026-01-02T03:04:05.678+00:00", "manual__2026-01-02T03-04-05.678-00-00"),
        ("scheduled__2026-01-02", "scheduled__2026-01-02"),
        ("../../etc", "etc"),
        ("a/b c", "a-b-c"),
        ("grün", "gr-n"),
        ("..", "run"),
        ("", "run"),
    ],
)
def test_a_run_id_becomes_one_part_of_a_key(run_id, safe):
    assert layout.safe_run_id(run_id) == safe
    validate_key(layout.run_key(run_id, "plan.json"))


def test_a_batch_of_predictions_has_a_folder_that_any_run_id_may_name():
    run_id = "manual__2026-01-01T00:00:00+00:00"

    assert layout.predictions_key(run_id, "batch.json") == "predictions/manual__2026-01-01T00-00-00-00-00/batch.json"
