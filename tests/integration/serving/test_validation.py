"""Infra validation with real servers: Quartet's own, and commands that start none."""

import io
import os
import shutil
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from ml.errors import ConfigError, DataError, ServingError
from ml.export import export_model
from ml.preprocessing import decode_batch
from ml.warmup import write_warmup
from serving.fresh_server import LOCAL_COMMAND
from serving.validation import validate_saved_model

CLASSES = ("round", "square", "star")
SIGNATURES = {"serving_default", "serving_tensor", "explain", "classify", "serving_default over REST"}

pytestmark = pytest.mark.slow


def make_model(seed):
    """With 150 kB of weights, which lie among its variables."""
    tf.keras.utils.set_random_seed(seed)
    inputs = tf.keras.Input((32, 32, 3))
    hidden = tf.keras.layers.Dense(12, activation="relu")(tf.keras.layers.Flatten()(inputs))
    places = tf.keras.layers.Reshape((2, 2))(tf.keras.layers.Dense(4, activation="softmax")(hidden))
    probabilities = tf.keras.layers.Dense(3, activation="softmax")(hidden)
    return tf.keras.Model(inputs, {"probabilities": probabilities, "attention": places})


def make_image(seed, kind):
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (40, 50, 3), np.uint8)).save(stream, kind)
    return stream.getvalue()


@pytest.fixture(scope="module")
def images():
    return [make_image(seed, "JPEG" if seed % 2 else "PNG") for seed in range(11)]


@pytest.fixture(scope="module")
def exported(images, tmp_path_factory):
    """A model's folder, and what it answered before it was exported."""
    folder = tmp_path_factory.mktemp("validation") / "model"
    model = make_model(0)
    export_model(model, 32, CLASSES, folder)
    write_warmup(folder, "shapes", images[0])
    return folder, model(decode_batch(tf.constant(images), 32))["probabilities"].numpy()


@pytest.fixture
def copy(exported, tmp_path):
    """The model's files where a test may change them."""
    return Path(shutil.copytree(exported[0], tmp_path / "model"))


def servers_below(folder):
    """Processes that were started with a base path below a folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found += [path.parent.name] if str(folder) in path.read_text() else []
        except OSError:  # it has ended meanwhile
            continue
    return found


def test_good_model_is_measured(exported, images):
    folder, expected = exported

    found = validate_saved_model(folder, "shapes", images, expected, tolerance=1e-4)

    assert set(found.differences) == SIGNATURES
    assert max(found.differences.values()) <= 1e-4
    assert (found.images, found.tolerance) == (11, 1e-4)
    assert 0 < found.latency_ms_p50 <= found.latency_ms_p95
    assert 0 < found.load_seconds < found.seconds
    assert found.peak_memory_mb > 100  # TensorFlow alone
    assert found.to_dict()["differences"] == found.differences
    assert sorted(path.name for path in folder.parent.iterdir()) == ["model"]
    assert not servers_below(folder.parent)


def test_model_that_answers_otherwise_is_refused(exported, images):
    folder, expected = exported

    with pytest.raises(DataError, match=r"differs from its evaluation by .* in probability"):
        validate_saved_model(folder, "shapes", images, expected[:, ::-1].copy(), tolerance=1e-3)

    assert not servers_below(folder.parent)


def test_model_without_its_variables_is_refused_with_the_servers_words(copy, exported, images):
    (copy / "variables/variables.data-00000-of-00001").unlink()
    (copy / "variables/variables.index").unlink()

    with pytest.raises(ServingError, match=r"could not load the model: .*variables"):
        validate_saved_model(copy, "shapes", images, exported[1], tolerance=1e-3, timeout_seconds=120)


def test_server_that_ends_is_not_waited_for(exported, images):
    command = [sys.executable, "-c", "import sys; sys.exit('no licence for {model_name}')"]
    started = time.monotonic()

    with pytest.raises(ServingError, match=r"(?s)ended with status 1 before it was ready.*no licence for shapes"):
        validate_saved_model(exported[0], "shapes", images, exported[1], tolerance=1e-3, command=command)

    assert time.monotonic() - started < 60


def test_server_that_never_gets_ready_is_ended_with_its_children(exported, images):
    child = "import time; time.sleep(600)"
    script = "import subprocess, sys; print('waiting', flush=True); subprocess.run([sys.executable, *sys.argv[1:]])"
    command = [sys.executable, "-c", script, "-c", child, "{base_path}"]

    with pytest.raises(ServingError, match=r"(?s)was not ready within 3 s.*waiting"):
        validate_saved_model(
            exported[0], "shapes", images, exported[1], tolerance=1e-3, command=command, timeout_seconds=3
        )

    assert not servers_below(exported[0].parent)


def test_other_servers_are_started_by_a_command(exported, images):
    folder, expected = exported
    command = ["env", f"PATH={os.environ['PATH']}", *LOCAL_COMMAND]

    found = validate_saved_model(folder, "shapes", images[:1], expected[:1], tolerance=1e-4, command=command)

    assert found.images == 1


@pytest.mark.parametrize(
    ("command", "error", "message"),
    [
        pytest.param(["/no/such/server"], ConfigError, "cannot be started by /no/such/server", id="no program"),
        pytest.param(["server", "--port={grpc}"], ConfigError, "grpc", id="unknown placeholder"),
    ],
)
def test_command_that_cannot_be_run_is_named(exported, images, command, error, message):
    with pytest.raises(error, match=message):
        validate_saved_model(exported[0], "shapes", images, exported[1], tolerance=1e-3, command=command)


def test_as_many_rows_as_images_are_wanted(exported, images):
    with pytest.raises(DataError, match="11 images and 10 rows"):
        validate_saved_model(exported[0], "shapes", images, exported[1][:10], tolerance=1e-3)
