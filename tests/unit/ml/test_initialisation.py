import keras
import numpy as np
import pytest

from ml.backbones import build_backbone
from ml.initialisation import randomise

#: Keras's smallest input, or a little more where maps would have one position.
SIZES = {"vgg16": 64, "vgg19": 64, "mobilenet": 64, "xception": 96}
#: How far noise moves features at most, as a share of the distance between two pictures. He's normal distribution gives
#: 0.08 to 0.13; random filters that sum to zero in space give 0.5 to 0.9.
NOISE_SHARES = {"vgg16": 0.06, "vgg19": 0.06, "mobilenet": 0.06, "xception": 0.14}


def pictures(count, size, seed=0):
    """Grey noise whose amplitude falls with the frequency, as in photographs; float32 [count, size, size, 3]."""
    generator = np.random.default_rng(seed)
    frequencies = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.fftfreq(size)[None])
    spectrum = np.fft.fft2(generator.normal(size=(count, size, size))) / np.maximum(frequencies, 1 / size)
    waves = np.fft.ifft2(spectrum).real
    waves /= waves.std(axis=(1, 2), keepdims=True)
    return np.repeat(np.clip(0.5 + 0.2 * waves, 0, 1)[..., None], 3, axis=-1).astype(np.float32)


@pytest.fixture(scope="module", params=SIZES)
def backbone(request):
    return request.param


@pytest.fixture(scope="module")
def maps(backbone):
    """Feature maps of sixteen pictures, and of the same with a little noise on them."""
    from ml.config import Settings

    size = SIZES[backbone]
    settings = Settings.model_validate({"images": {"size": size}, "weights": "random"})
    clean = pictures(16, size)
    noisy = clean + np.random.default_rng(1).normal(0, 0.01, clean.shape).astype(np.float32)
    both = build_backbone(settings, backbone)(np.concatenate([clean, noisy])).numpy()
    return both[:16], both[16:]


def test_a_picture_is_nearest_to_itself_with_noise(maps, backbone):
    clean, noisy = (side.mean(axis=(1, 2)) for side in maps)
    distances = np.linalg.norm(clean[:, None] - noisy[None], axis=-1)

    assert (distances.argmin(axis=1) == np.arange(16)).all()
    others = distances[~np.eye(16, dtype=bool)]
    assert np.diag(distances).mean() < NOISE_SHARES[backbone] * others.mean()


def test_most_channels_tell_something(maps):
    clean, _ = maps
    spread = clean.reshape(-1, clean.shape[-1]).std(axis=0)

    assert (spread > 1e-3 * spread.max()).mean() > 0.6


def test_features_fit_the_cache_s_half_precision(maps):
    clean, _ = maps

    assert 1e-3 < clean.std() < 1e3
    assert np.abs(clean).max() < 0.1 * np.finfo(np.float16).max


@pytest.fixture
def drawn():
    """A network with one of each kind of layer, randomised."""
    network = keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            keras.layers.Conv2D(40, 3, name="first"),
            keras.layers.Conv2D(40, 3, name="dense"),
            keras.layers.DepthwiseConv2D(3, name="depthwise"),
            keras.layers.Conv2D(40, 1, name="pointwise"),
        ]
    )
    randomise(network, seed=5)
    return {layer.name: layer.kernel.numpy() for layer in network.layers}


def test_a_quarter_of_a_convolution_hands_on_its_input(drawn):
    carried = [kernel for kernel in np.moveaxis(drawn["dense"], -1, 0) if np.count_nonzero(kernel) == 1]

    assert len(carried) == 10
    assert all(kernel[1, 1].max() == 1 for kernel in carried)


def test_what_channels_have_in_common_is_not_passed_on(drawn):
    np.testing.assert_allclose(drawn["pointwise"].sum(axis=(0, 1, 2)), 0, atol=1e-3)


def test_three_quarters_of_the_patterns_smooth(drawn):
    smoothing = [pattern for pattern in drawn["depthwise"][..., 0].T if pattern.min() >= 0]

    assert len(smoothing) == pytest.approx(30, abs=1)
    np.testing.assert_allclose([pattern.sum() for pattern in smoothing], 1, atol=1e-3)


def test_weights_keep_no_digits_that_processors_disagree_on(drawn):
    for kernel in drawn.values():
        np.testing.assert_array_equal(kernel, np.round(kernel.astype(np.float64), 5).astype(np.float32))


def test_network_with_shortcuts_smooths_and_mixes_by_he_s_distribution():
    inputs = keras.Input((16, 16, 64))
    block = keras.layers.SeparableConv2D(64, 3, padding="same", name="separable")
    network = keras.Model(inputs, keras.layers.Add()([inputs, block(inputs)]))
    randomise(network, seed=5)

    depthwise, pointwise = (weight.numpy() for weight in block.weights if "kernel" in weight.name)
    smoothing = [pattern for pattern in depthwise[..., 0].reshape(9, 64).T if pattern.min() >= 0]
    assert len(smoothing) == pytest.approx(48, abs=1)
    np.testing.assert_allclose([pattern.sum() for pattern in smoothing], 1, atol=1e-3)
    assert pointwise.std() == pytest.approx(np.sqrt(2 / 64), rel=0.05)
