"""The demo on a tiny set: the whole pipeline through a real scheduler, twice."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from infra.local import stack
from infra.local.processes import State
from ml.phantom import draw_phantoms

ROOT = Path(__file__).parents[3]
SETTINGS = {
    "model_name": "tiny",
    "images": {"size": 64},
    "variants": {"narrow": {"backbone": "mobilenet", "alpha": 0.25}, "wide": {"backbone": "mobilenet", "alpha": 0.5}},
    "weights": "random",
    "train": {"epochs": 2, "units": 16, "heads": 2, "key_dim": 8},
    "validation": {"min_images_per_class": 3},
    "gate": {"min_macro_f1": 0.0, "champion_margin": 0},
}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("demo")
    for name in ("dags", "plugins"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    (root / "quartet.yaml").write_text(yaml.safe_dump(SETTINGS))
    return root


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return draw_phantoms(tmp_path_factory.mktemp("images"), 10)


def run_demo(root, data, environ):
    command = [sys.executable, "-m", "infra.local", "demo", "--root", str(root), "--data", str(data)]
    return subprocess.run(
        command, cwd=ROOT, env=environ | {"COLUMNS": "200"}, capture_output=True, text=True, check=False, timeout=540
    )


@pytest.fixture(scope="module")
def first(root, data, environ):
    result = run_demo(root, data.folder, environ)
    assert result.returncode == 0, result.stdout + result.stderr
    yield result.stdout
    stack.down(stack.load_layout(root, environ))


def test_images_become_a_served_version(first, data):
    assert f"{data.good} images ({data.good} new), {len(data.duplicates)} duplicates" in first
    assert "started by the new snapshot" in first
    assert re.search(r"\* (narrow|wide) +│ \d\.\d{4} +│ \d\.\d{4} +│ \d\.\d{4} +│ \d+\.\d +│ \d+\.\d +│ random", first)
    assert re.search(r"Gate: (narrow|wide) promoted\.", first)
    assert "Not pretrained" in first


def test_both_protocols_answer_as_the_model_does_without_a_server(first):
    rows = re.findall(r"│ (gRPC|REST|Keras)[^│]*│ (\w+) +│ (\d\.\d{6})", first)
    difference = float(re.search(r"differs from the offline prediction by (\S+) at most", first)[1])

    assert [name for name, _, _ in rows] == ["gRPC", "REST", "Keras"]
    assert len({label for _, label, _ in rows}) == 1
    assert difference <= 1e-5


def test_a_stack_that_the_demo_started_is_stopped_again(first, root, environ):
    states = {status.state for status in stack.status(stack.load_layout(root, environ))}

    assert states == {State.STOPPED}


def test_second_run_extracts_nothing_and_a_tie_keeps_the_champion(first, root, data, environ):
    second = run_demo(root, data.folder, environ)

    assert second.returncode == 0, second.stdout + second.stderr
    assert "nothing new arrived, so no snapshot started it" in second.stdout
    assert "started by hand, with force" in second.stdout
    assert second.stdout.count(": 0 images to extract, 40 already cached") == 2
    assert re.search(r"Gate: (narrow|wide) not promoted\. Rejected: better than the champion", second.stdout)
    assert "Version 1 is served" in second.stdout


def test_one_class_only_ends_with_the_reason_and_nothing_published(root, data, environ, tmp_path):
    shutil.copytree(data.folder / "glioma", tmp_path / "one" / "glioma")

    result = run_demo(root, tmp_path / "one", environ)

    assert result.returncode == 1
    assert "Task validate of ingest_images failed" in result.stderr
    assert "Different labels: at least 2" in result.stderr
    assert not (root / "var/store/snapshots/latest.json").exists()


def test_folder_that_is_not_there_is_named_before_anything_starts(root, environ, tmp_path):
    result = run_demo(root, tmp_path / "nowhere", environ)

    assert result.returncode == 1
    assert f"There is no folder {tmp_path / 'nowhere'}" in result.stderr.replace("\n", "")
    assert "Stack" not in result.stdout
