"""An ingest that is killed anywhere and run again leaves what an undisturbed one leaves."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kill_points import kill_points
from programs import run_program

PROGRAM = Path(__file__).with_name("killed_ingest.py")
POINTS = kill_points(40)

pytestmark = pytest.mark.slow


def picture(seed: int, form: str = "PNG") -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (32, 32, 3), np.uint8)).save(stream, form)
    return stream.getvalue()


def fill(folder: Path, files: dict[str, bytes]) -> None:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    tmp = tmp_path_factory.mktemp("killed")
    fill(
        tmp / "base/landing",
        {f"{label}/{seed}.png": picture(seed + 100 * (label == "b")) for label in "ab" for seed in range(4)}
        | {
            "a/other.bmp": picture(50, "BMP"),
            "a/copy.png": picture(0),
            "a/junk.png": b"no image",
            "c/1.png": picture(51),
        }
        | {"a/same.png": picture(60), "b/same.png": picture(60)}
        | {"labels.csv": b"key,label,site\na/0.png,,Ulm\nb/1.png,,Jena\na/copy.png,,Ulm\n"},
    )
    fill(tmp / "base", {"pseudonyms/key": b"the same for all"})
    fill(
        tmp / "more",
        {f"a/new-{seed}.png": picture(seed + 200) for seed in range(3)}
        | {"a/0.png": picture(300), "b/again.png": picture(1), "b/junk.png": b"no image", "b/empty.png": b""}
        | {"labels.csv": b"key,label,group,site\nb/new.png,b,p1,Ulm\na/0.png,,,Bonn\n", "b/new.png": picture(400)},
    )
    printed = run_program(PROGRAM, tmp / "base", tmp / "work", POINTS, tmp / "more")
    return json.loads(printed.splitlines()[-1])


@pytest.mark.parametrize(("ingest", "number"), [("first", "000001-"), ("second", "000002-")])
def test_killed_at_many_points_and_repeated_it_ends_as_if_undisturbed(report, ingest, number):
    outcome = report[ingest]

    assert outcome["different"] == {}
    assert outcome["killed"] == POINTS < outcome["calls"]
    assert outcome["snapshot"].startswith(number)
