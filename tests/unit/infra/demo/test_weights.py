import h5py
import keras
import pytest
import yaml
from keras.src.legacy.saving import legacy_h5_format

from infra.local.demo.weights import choose_weights
from infra.local.settings_file import local_settings

NARROW = {"narrow": {"backbone": "mobilenet", "alpha": 0.25}}


@pytest.fixture
def root(tmp_path):
    def write(**weights):
        document = {"images": {"size": 32}, "variants": NARROW, "weights": {"seed": 5, **weights}}
        (tmp_path / "quartet.yaml").write_text(yaml.safe_dump(document))
        return tmp_path

    return write


def choose(root, environ):
    said = []
    return *choose_weights(local_settings(root, environ), environ, said.append), said


def test_weights_in_the_mirror_are_taken(root, tmp_path):
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    network = keras.applications.MobileNet(alpha=0.25, include_top=False, weights=None, input_shape=(32, 32, 3))
    with h5py.File(mirror / "mobilenet_2_5_224_tf_no_top.h5", "w") as file:
        # Keras publishes its files in the format of its second version.
        legacy_h5_format.save_weights_to_hdf5_group(file, network)

    environ, missing, said = choose(root(mirror=str(mirror), download=False), {})

    assert (environ, missing) == ({}, None)
    assert "narrow: ImageNet weights are here" in said


def test_demo_turns_to_random_weights_and_says_why(root, tmp_path):
    (tmp_path / "empty").mkdir()
    written = root(mirror=str(tmp_path / "empty"), download=False)

    environ, missing, said = choose(written, {"HOME": "/home/somebody"})

    settings = local_settings(written, environ)
    assert (settings.weights.source, settings.weights.seed) == ("random", 5)
    assert environ["HOME"] == "/home/somebody"
    assert "mobilenet_2_5_224_tf_no_top.h5" in missing
    assert said[-1] == "not to be had, going on with random weights"


def test_overrides_of_the_weights_do_not_bring_imagenet_back(root, tmp_path):
    (tmp_path / "empty").mkdir()
    overrides = {"QUARTET__WEIGHTS__SOURCE": "imagenet", "QUARTET__WEIGHTS__MIRROR": str(tmp_path / "empty")}
    written = root(download=False)

    environ, _, _ = choose(written, overrides)

    assert local_settings(written, environ).weights.source == "random"


def test_random_weights_that_were_asked_for_are_not_looked_for(root):
    environ, missing, said = choose(root(source="random"), {"A": "b"})

    assert (environ, missing, said) == ({"A": "b"}, None, [])
