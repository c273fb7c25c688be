import hashlib
import socket

import h5py
import keras
import numpy as np
import pytest
from keras.src.legacy.saving import legacy_h5_format

from ml.backbones import BACKBONES, build_backbone, weights_digest
from ml.config import VariantSettings
from ml.errors import ConfigError, WeightsError

NARROW = {"narrow": {"backbone": "mobilenet", "alpha": 0.25}}
NARROW_FILE = "mobilenet_2_5_224_tf_no_top.h5"


@pytest.fixture
def mirror(tmp_path):
    folder = tmp_path / "mirror"
    folder.mkdir()
    return folder


@pytest.fixture
def mirrored(make_settings, mirror):
    def settings(variants=NARROW, **weights):
        weights = {"source": "imagenet", "mirror": str(mirror), "download": False} | weights
        return make_settings({"variants": variants, "weights": weights})

    return settings


@pytest.fixture
def narrow_file(mirror):
    """Keras's own file of narrow MobileNet, as Keras publishes it, with weights of our own."""
    network = keras.applications.MobileNet(alpha=0.25, include_top=False, weights=None, input_shape=(32, 32, 3))
    for weight in network.weights:
        weight.assign(np.random.default_rng(3).random(weight.shape) * 0.1)
    with h5py.File(mirror / NARROW_FILE, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, network)
    return network


@pytest.mark.parametrize(
    ("name", "size", "shape"),
    [
        ("vgg16", 32, (1, 1, 1, 512)),
        ("vgg19", 32, (1, 1, 1, 512)),
        ("mobilenet", 64, (1, 2, 2, 1024)),
        ("xception", 71, (1, 3, 3, 2048)),
    ],
)
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_backbone_maps_images_to_a_finite_feature_map(make_settings, name, size, shape, precision):
    settings = make_settings({"images": {"size": size}})
    images = np.random.default_rng(0).random((1, size, size, 3), np.float32)

    maps = build_backbone(settings, name, precision)(images).numpy()

    assert (maps.shape, maps.dtype) == (shape, np.float32)
    assert np.isfinite(maps).all()
    assert maps.std() > 0


def test_nothing_in_a_backbone_is_trained(make_settings):
    assert build_backbone(make_settings(), "mobilenet").trainable_weights == []


def test_seed_decides_random_weights(make_settings):
    def digest(seed):
        settings = make_settings({"variants": NARROW, "weights": {"seed": seed}})
        return weights_digest(build_backbone(settings, "narrow"))

    assert digest(1) == digest(1) != digest(2)


def test_precision_of_the_arithmetic_leaves_the_weights_alone(make_settings):
    settings = make_settings({"variants": NARROW})

    digests = {weights_digest(build_backbone(settings, "narrow", precision)) for precision in ("float32", "bfloat16")}

    assert len(digests) == 1
    assert keras.config.dtype_policy().name == "float32"


def test_random_features_of_similar_images_are_similar(make_settings):
    settings = make_settings({"images": {"size": 64}})
    generator = np.random.default_rng(0)
    image = generator.random((1, 64, 64, 3), np.float32)
    near, far = image + generator.normal(0, 0.02, image.shape), generator.random(image.shape)
    maps = build_backbone(settings, "vgg16")(np.concatenate([image, near, far]).astype(np.float32)).numpy()

    assert np.linalg.norm(maps[0] - maps[1]) < 0.5 * np.linalg.norm(maps[0] - maps[2])


def test_weights_come_from_the_mirror(mirrored, narrow_file):
    backbone = build_backbone(mirrored(), "narrow")

    for found, expected in zip(backbone.weights, narrow_file.weights, strict=True):
        np.testing.assert_array_equal(found.numpy(), expected.numpy())


def test_weights_come_from_a_mirror_behind_a_url(mirrored, mirror, narrow_file):
    backbone = build_backbone(mirrored(mirror=mirror.as_uri()), "narrow")

    np.testing.assert_array_equal(backbone.weights[0].numpy(), narrow_file.weights[0].numpy())


def test_file_that_the_mirror_lacks_is_named(mirrored):
    with pytest.raises(WeightsError, match=rf"There is no {NARROW_FILE} in the weights mirror .*download: true"):
        build_backbone(mirrored(), "narrow")


def test_file_with_another_digest_is_refused(mirrored, mirror):
    name = BACKBONES["vgg16"].weights_file
    (mirror / name).write_bytes(b"not what Keras publishes")
    digest = hashlib.md5(b"not what Keras publishes", usedforsecurity=False).hexdigest()

    with pytest.raises(WeightsError, match=rf"{name} has MD5 {digest}, Keras publishes 6d6bbae1"):
        build_backbone(mirrored({"vgg16": {"backbone": "vgg16"}}), "vgg16")


def test_file_that_holds_something_else_is_refused(mirrored, mirror):
    (mirror / NARROW_FILE).write_bytes(b"not HDF5")

    with pytest.raises(WeightsError, match=rf"{NARROW_FILE} does not hold Keras's weights for MobileNet"):
        build_backbone(mirrored(), "narrow")


def test_file_of_another_width_is_refused(mirrored, mirror, narrow_file):
    (mirror / NARROW_FILE).rename(mirror / "mobilenet_5_0_224_tf_no_top.h5")

    with pytest.raises(WeightsError, match=r"does not hold Keras's weights for MobileNet with .*0\.5"):
        build_backbone(mirrored({"half": {"backbone": "mobilenet", "alpha": 0.5}}), "half")


def test_width_without_published_weights_is_refused(mirrored):
    with pytest.raises(WeightsError, match=r"no ImageNet weights for alpha 0.3.*0.75"):
        build_backbone(mirrored({"odd": {"backbone": "mobilenet", "alpha": 0.3}}), "odd")


def test_download_that_fails_says_what_to_do(mirrored, monkeypatch, tmp_path):
    # Keras reads KERAS_HOME when it is imported, and weights may lie there.
    monkeypatch.setattr("keras.src.backend.config._KERAS_DIR", str(tmp_path / "keras"))
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")

    with pytest.raises(WeightsError, match=r"ImageNet weights for MobileNet cannot be downloaded.*weights.mirror"):
        build_backbone(mirrored(download=True, timeout_seconds=1), "narrow")
    assert socket.getdefaulttimeout() is None


@pytest.mark.parametrize(
    ("variants", "message"),
    [
        ({"mine": {"backbone": "resnet"}}, "There is no backbone 'resnet'.*Known: vgg16, vgg19, mobilenet, xception"),
        ({"mine": {"backbone": "vgg16", "alpha": 0.5}}, "Backbone 'vgg16' has no option alpha"),
        ({"yours": {"backbone": "vgg16"}}, "There is no variant 'mine'.*Known: yours"),
    ],
    ids=["backbone", "option", "variant"],
)
def test_unknown_names_are_refused_with_the_known_ones(make_settings, variants, message):
    settings = make_settings().model_copy(
        update={"variants": {name: VariantSettings(**spec) for name, spec in variants.items()}}
    )

    with pytest.raises(ConfigError, match=message):
        build_backbone(settings, "mine")
