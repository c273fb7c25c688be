"""``quartet predict`` against a server with labels: version 4 is stable, version 5 the canary."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import PIL.Image
import pyarrow.parquet as pq
import pytest
import yaml

from contract_model import COLOURS, expected

pytestmark = pytest.mark.slow

QUARTET = Path(sys.executable).with_name("quartet")


def pixels_of(seed):
    return np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Twenty images in two folders, one file that is none, a hidden one, and a link that leads nowhere."""
    folder = tmp_path_factory.mktemp("images")
    for name in ("a", "b"):
        (folder / name).mkdir()
    for seed in range(20):
        PIL.Image.fromarray(pixels_of(seed)).save(folder / "ab"[seed % 2] / f"{seed:02d}.png")
    (folder / "notes.txt").write_text("no image")
    (folder / ".hidden.png").write_text("no image")
    (folder / "nowhere.png").symlink_to(folder / "gone.png")
    return folder


@pytest.fixture(scope="module")
def quartet(labelled, tmp_path_factory):
    path = tmp_path_factory.mktemp("settings") / "quartet.yaml"
    serving = {"grpc_port": labelled.grpc_port, "rest_port": labelled.rest_port}
    path.write_text(yaml.safe_dump({"model_name": "colours", "serving": serving}))
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("QUARTET")}
    environ = inherited | {"QUARTET_CONFIG": str(path), "COLUMNS": "200"}

    def run(*arguments):
        command = [QUARTET, "predict", *map(str, arguments)]
        return subprocess.run(command, env=environ, capture_output=True, text=True, check=False)

    return run


@pytest.mark.parametrize("protocol", ["grpc", "rest"])
def test_files_are_answered_in_a_table_by_stable(quartet, folder, protocol):
    result = quartet(folder / "a" / "02.png", folder / "b" / "03.png", "--protocol", protocol)

    assert result.returncode == 0, result.stderr
    for seed in (2, 3):
        probabilities = expected(pixels_of(seed), 4.0)
        name, chance = COLOURS[probabilities.argmax()], f"{probabilities.max():.4f}"
        assert re.search(rf"{seed:02d}\.png +│ {name} +│ {chance} +│ 4 +│ OK", result.stdout)


@pytest.mark.parametrize(
    ("arguments", "version"), [(["--label", "canary"], 5), (["--label", ""], 5), (["--version", "5"], 5), ([], 4)]
)
def test_json_is_an_object_a_line(quartet, folder, arguments, version):
    result = quartet(folder / "a" / "00.png", folder / "notes.txt", "--json", *arguments)

    first, second = map(json.loads, result.stdout.splitlines())
    assert result.returncode == 3
    assert (first["status"], first["version"], first["model"]) == ("OK", version, "colours")
    found = [first["probabilities"][name] for name in COLOURS]
    np.testing.assert_allclose(found, expected(pixels_of(0), 4.0 if version == 4 else 8.0), atol=1e-6)
    assert (second["status"], second["class_name"], second["probabilities"]) == ("UNDECODABLE", None, None)


def test_a_folder_becomes_a_parquet_file_and_some_not_classified_end_with_3(quartet, folder, tmp_path):
    out = tmp_path / "predictions.parquet"

    result = quartet("--folder", folder, "--out", out)

    assert result.returncode == 3, result.stderr
    assert "22 images" in result.stderr
    assert "20 OK, 1 UNDECODABLE, 1 UNREADABLE; version 4 of colours" in result.stderr
    rows = {row["file"]: row for row in pq.read_table(out).to_pylist()}
    assert list(rows)[:2] == ["a/00.png", "a/02.png"]
    assert list(rows)[-3:] == ["b/19.png", "notes.txt", "nowhere.png"]
    assert len(rows) == 22
    for seed in range(20):
        row = rows[f"{'ab'[seed % 2]}/{seed:02d}.png"]
        np.testing.assert_allclose([row[f"p_{name}"] for name in COLOURS], expected(pixels_of(seed), 4.0), atol=1e-6)


def test_a_file_that_exists_is_not_replaced_unasked(quartet, folder, tmp_path):
    out = tmp_path / "predictions.parquet"
    out.write_text("mine")

    refused = quartet(folder / "a" / "00.png", "--out", out)
    kept = out.read_text()
    replaced = quartet(folder / "a" / "00.png", "--out", out, "--overwrite")

    assert (refused.returncode, kept) == (1, "mine")
    assert "--overwrite" in refused.stderr
    assert replaced.returncode == 0, replaced.stderr
    assert pq.read_table(out).num_rows == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "What is to be classified is not clear."),
        (["--folder", "{folder}", "{folder}/a/00.png"], "What is to be classified is not clear."),
        (["--folder", "{folder}"], "Give --out FILE.parquet, or --json."),
        (["--folder", "{empty}", "--json"], "has no files"),
        (["{folder}/a/00.png", "--label", "beta"], "Unrecognized servable version label: beta"),
        (["{folder}/a/00.png", "--version", "9"], "Specific(colours, 9)"),
        (["{folder}/a/00.png", "--version", "4", "--label", "stable"], "Ask one of them."),
        (["{folder}/a/00.png", "--port", "1"], "127.0.0.1:1"),
    ],
)
def test_what_cannot_be_done_is_named_with_the_remedy(quartet, folder, tmp_path, arguments, message):
    names = {"folder": folder, "empty": tmp_path}

    result = quartet(*(argument.format(**names) for argument in arguments))

    assert result.returncode == 1, result.stdout
    assert message in result.stderr
    assert "Remedy:" in result.stderr
    assert "Traceback" not in result.stderr
