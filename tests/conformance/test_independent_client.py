"""A client that others wrote for TensorFlow Serving's protocol, ovmsclient, over both protocols."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("independent_client.py")


@pytest.fixture(scope="module")
def answers(several):
    command = [sys.executable, str(SCRIPT), several.target, several.root.removeprefix("http://")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_it_predicts(answers, protocol):
    assert answers[protocol]["numbers"] == [1.0, 2.0]


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_it_reads_states(answers, protocol):
    assert answers[protocol]["status"] == {"3": "AVAILABLE"}


def test_it_reads_metadata(answers):
    metadata = answers["grpc"]["metadata"]

    assert metadata["model_version"] == 3
    assert metadata["inputs"] == {"x": {"shape": [-1], "dtype": "DT_FLOAT"}}
    assert metadata["outputs"] == {"y": {"shape": [-1], "dtype": "DT_FLOAT"}}
    # Over HTTP it hands on what it got.
    assert answers["http"]["metadata"]["model_spec"]["version"] == "3"


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_it_knows_the_errors(answers, protocol):
    assert answers[protocol]["errors"] == {
        "version": "ModelNotFoundError",
        # It then sends version 0, which to TensorFlow Serving is a version like any other.
        "no version": "ModelNotFoundError",
        "model": "ModelNotFoundError",
        "inputs": "InvalidInputError",
    }
