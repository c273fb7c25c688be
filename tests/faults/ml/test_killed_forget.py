"""A withdrawal that is killed anywhere and run again leaves what an undisturbed one leaves."""

from __future__ import annotations

import io
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kill_points import kill_points
from programs import run_program

PROGRAM = Path(__file__).with_name("killed_forget.py")
POINTS = kill_points(25)

pytestmark = pytest.mark.slow


def picture(seed: int, form: str = "PNG") -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (32, 32, 3), np.uint8)).save(stream, form)
    return stream.getvalue()


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """Two pictures are forgotten: one that lies under two keys and, in another form, in quarantine, and one more."""
    tmp = tmp_path_factory.mktemp("killed")
    files = {f"{label}/{seed}.png": picture(seed + 100 * (label == "b")) for label in "ab" for seed in range(4)}
    files |= {"a/copy.png": picture(0), "a/form.bmp": picture(0, "BMP"), "c/unknown.png": picture(0)}
    for name, data in files.items():
        (tmp / "base/landing" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp / "base/landing" / name).write_bytes(data)
    rows = "".join(f"{name},,Ulm\n" for name in files)
    (tmp / "base/landing/labels.csv").write_text(f"key,label,site\n{rows}")
    (tmp / "base/pseudonyms").mkdir()
    (tmp / "base/pseudonyms/key").write_bytes(b"the same for all")
    chosen = [tmp / "base/landing" / name for name in ("a/0.png", "b/1.png")]
    return json.loads(run_program(PROGRAM, tmp / "base", tmp / "work", POINTS, *chosen).splitlines()[-1])


def test_killed_at_many_points_and_repeated_it_ends_as_if_undisturbed(report):
    assert report["different"] == {}
    assert report["killed"] == POINTS < report["calls"]


def test_undisturbed_it_removes_every_trace(report):
    """Of four files under five keys, with a canonical PNG; two in quarantine; three shards; the snapshot's page."""
    assert Counter(key.split("/")[0] for key in report["gone"]) == {
        "features": 6,
        "images": 4,
        "landing": 5,
        "quarantine": 2,
        "snapshots": 2,
    }


def test_undisturbed_it_takes_its_rows_out_of_tables(report):
    """Of attributes: those that the ingest read, and those of the snapshot before; the pointer moves."""
    read, kept, pointer = report["changed"]

    assert read.startswith("arrivals/attributes/")
    assert (kept.split("/")[-1], pointer) == ("attributes.parquet", "snapshots/latest.json")
