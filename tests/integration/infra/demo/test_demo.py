"""The demo on a tiny set: the whole pipeline through a real scheduler, twice."""

from __future__ import annotations

import re
import shutil

import pytest

from demo_run import make_root, run_demo, stack_environment
from infra.local.processes import State

pytestmark = pytest.mark.slow


def test_images_become_a_served_version(first, data):
    assert f"{data.good} images ({data.good} new), {len(data.duplicates)} duplicates" in first.output
    assert "started by the new snapshot" in first.output
    row = r"\* (narrow|wide) +│ \d\.\d{4} +│ \d\.\d{4} +│ \d\.\d{4} +│ \d+\.\d +│ \d+\.\d +│ random"
    assert re.search(row, first.output)
    assert re.search(r"Gate: (narrow|wide) promoted\.", first.output)
    assert "Not pretrained" in first.output


def test_both_protocols_answer_as_the_model_does_without_a_server(first):
    rows = re.findall(r"│ (gRPC|REST|Keras)[^│]*│ (\w+) +│ (\d\.\d{6})", first.output)
    difference = float(re.search(r"differs from the offline prediction by (\S+) at most", first.output)[1])

    assert [name for name, _, _ in rows] == ["gRPC", "REST", "Keras"]
    assert len({label for _, label, _ in rows}) == 1
    assert difference <= 1e-5


def test_a_stack_that_the_demo_started_is_stopped_again(first):
    assert first.states == {State.STOPPED}


def test_one_class_only_ends_with_the_reason_and_nothing_published(data, tmp_path):
    shutil.copytree(data.folder / "glioma", tmp_path / "one" / "glioma")
    root = make_root(tmp_path / "root")

    demo = run_demo(root, tmp_path / "one", stack_environment())

    assert demo.status == 1
    assert "Task validate of ingest_images failed" in demo.errors
    assert "Different labels: at least 2" in demo.errors
    assert not (root / "var/store/snapshots/latest.json").exists()


def test_folder_that_is_not_there_is_named_before_anything_starts(root, environ, tmp_path):
    demo = run_demo(root, tmp_path / "nowhere", environ)

    assert demo.status == 1
    assert f"There is no folder {tmp_path / 'nowhere'}" in demo.errors.replace("\n", "")
    assert "Stack" not in demo.output


def test_second_run_on_a_running_stack_extracts_nothing_and_a_tie_keeps_the_champion(second):
    assert "nothing new arrived, so no snapshot started it" in second.output
    assert second.output.count(": 0 images to extract, 40 already cached") == 2
    assert re.search(r"Gate: (narrow|wide) not promoted\. Rejected: better than the champion", second.output)
    assert "Version 1 is served" in second.output
    assert "The stack goes on running" in second.output
    assert second.states == {State.RUNNING}
