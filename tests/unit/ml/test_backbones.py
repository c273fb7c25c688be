import keras
import numpy as np
import pytest

from ml.backbones import build_backbone, weights_digest
from ml.config import VariantSettings
from ml.errors import ConfigError

NARROW = {"narrow": {"backbone": "mobilenet", "alpha": 0.25}}


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
