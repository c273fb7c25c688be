"""A batch of predictions that is killed anywhere and run again leaves what an undisturbed one leaves."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from contract_model import save_contract_model
from kill_points import kill_points
from labelled_servers import write_model_config
from programs import run_program

PROGRAM = Path(__file__).with_name("killed_batch.py")
POINTS = kill_points(30)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    tmp = tmp_path_factory.mktemp("killed")
    models, images = tmp / "models", tmp / "base/incoming"
    models.mkdir()
    images.mkdir(parents=True)
    save_contract_model(models, 4)
    write_model_config(tmp / "models.config", "colours", models, [4], stable=4)
    for seed in range(10):
        stream = io.BytesIO()
        pixels = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        PIL.Image.fromarray(pixels).save(stream, "PNG")
        (images / f"{seed}.png").write_bytes(stream.getvalue())
    (images / "notes.txt").write_text("no image")
    return json.loads(run_program(PROGRAM, tmp / "base", tmp / "work", POINTS, tmp / "models.config").splitlines()[-1])


def test_killed_at_many_points_and_repeated_it_ends_as_if_undisturbed(report):
    assert report["different"] == {}
    assert report["killed"] == POINTS < report["calls"]


def test_undisturbed_it_leaves_the_plan_the_listings_the_parts_and_the_record(report):
    names = [key.removeprefix("predictions/b/") for key in report["objects"]]

    assert [name for name in names if not name.startswith("listings/")] == [
        "batch.json",
        "part-00000.parquet",
        "part-00001.parquet",
        "part-00002.parquet",
        "plan.json",
    ]
    assert sum(name.startswith("listings/") for name in names) == 3
