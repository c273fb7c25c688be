"""The frozen backbones: a registry of small specifications, their adapters and their weights."""

from __future__ import annotations

import hashlib
import math
import socket
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from ml.errors import ConfigError, WeightsError
from ml.precision import policy_of
from ml.storage import open_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ml.config import Settings, StoreSettings, VariantSettings, WeightsSettings

__all__ = ["BACKBONES", "Backbone", "build_backbone", "weights_digest"]

#: Mean of ImageNet in BGR, 0-255, which the VGG weights were trained around (Simonyan & Zisserman, 2014).
CAFFE_MEAN_BGR = (103.939, 116.779, 123.68)


@dataclass(frozen=True)
class Backbone:
    """One architecture of ``keras.applications``.

    Attributes:
        application: its class name there.
        adapter: maps RGB in [0, 1] to what its ImageNet weights expect.
        weights_file: Keras's name of the ImageNet file without top; ``{alpha}`` and ``{size}`` are filled in.
        weights_md5: of that file as Keras publishes it; None where none is published.
        options: names of the architecture's own options that a variant may set.
    """

    application: str
    adapter: Callable[[Any], Any]
    weights_file: str
    weights_md5: str | None
    options: tuple[str, ...] = ()


def _caffe(images: Any) -> Any:
    return images[..., ::-1] * 255.0 - np.asarray(CAFFE_MEAN_BGR, dtype="float32")


def _minus_one_to_one(images: Any) -> Any:
    return images * 2.0 - 1.0


BACKBONES: dict[str, Backbone] = {
    "vgg16": Backbone(
        "VGG16",
        _caffe,
        "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
        "6d6bbae143d832006294945121d1f1fc",
    ),
    "vgg19": Backbone(
        "VGG19",
        _caffe,
        "vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5",
        "253f8cb515780f3b799900260a226db6",
    ),
    "mobilenet": Backbone(
        "MobileNet",
        _minus_one_to_one,
        "mobilenet_{alpha}_{size}_tf_no_top.h5",
        None,
        options=("alpha",),
    ),
    "xception": Backbone(
        "Xception",
        _minus_one_to_one,
        "xception_weights_tf_dim_ordering_tf_kernels_notop.h5",
        "b0042744bf5b25fce3cb969f33bebb97",
    ),
}


def build_backbone(settings: Settings, variant: str, precision: str = "float32") -> keras.Model:
    """Build a variant's frozen backbone with its adapter.

    Args:
        settings: input size, variants and weights.
        variant: a name under ``variants``.
        precision: of its arithmetic, float32 or bfloat16; weights are float32 either way.

    Returns:
        A model from float32 [N, size, size, 3] in [0, 1] to a feature map float32 [N, H, W, C].

    Raises:
        ConfigError: the variant or its backbone is unknown, or an option does not exist there.
        WeightsError: the weights cannot be had or have another digest than the published one.
    """
    spec = settings.variant(variant)
    backbone = _backbone(spec)
    shape = (settings.images.size, settings.images.size, 3)
    options = _options(spec, backbone)
    with _policy(precision):
        network = _load(backbone, options, shape, settings.weights, settings.store)
        network.trainable = False
        inputs = keras.Input(shape, name="images")
        outputs = keras.ops.cast(network(backbone.adapter(inputs), training=False), "float32")
    return keras.Model(inputs, outputs, name=f"{variant}_backbone")


def weights_digest(model: keras.Model) -> str:
    """SHA-256 (hexadecimal) over a model's weights in order: their shapes, dtypes and bytes."""
    digest = hashlib.sha256()
    for weight in model.weights:
        array = np.ascontiguousarray(keras.ops.convert_to_numpy(weight))
        digest.update(f"{array.shape}{array.dtype}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _backbone(spec: VariantSettings) -> Backbone:
    try:
        return BACKBONES[spec.backbone]
    except KeyError:
        raise ConfigError(f"There is no backbone '{spec.backbone}'.", f"Known: {', '.join(BACKBONES)}.") from None


def _options(spec: VariantSettings, backbone: Backbone) -> dict[str, Any]:
    if spec.alpha is not None and "alpha" not in backbone.options:
        raise ConfigError(f"Backbone '{spec.backbone}' has no option alpha.", "Remove `alpha` from the variant.")
    return {} if spec.alpha is None else {"alpha": spec.alpha}


@contextmanager
def _policy(precision: str) -> Iterator[None]:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy_of(precision))
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _load(
    backbone: Backbone,
    options: dict[str, Any],
    shape: tuple[int, int, int],
    weights: WeightsSettings,
    store: StoreSettings,
) -> keras.Model:
    application = getattr(keras.applications, backbone.application)
    arguments = {"include_top": False, "input_shape": shape, **options}
    if weights.source == "random":
        network = application(weights=None, **arguments)
        _randomise(network, weights.seed)
        return network
    mirrored = _from_mirror(backbone, options, shape[0], weights, store)
    if mirrored is not None:
        return _load_file(application, arguments, mirrored)
    return _download(application, arguments, weights)


def _load_file(application: Callable[..., Any], arguments: dict[str, Any], path: Path) -> keras.Model:
    try:
        return application(weights=str(path), **arguments)
    except (OSError, KeyError, ValueError) as error:
        raise WeightsError(
            f"{path} does not hold Keras's weights for {application.__name__} with {arguments}: {error}",
            "Put the file that Keras publishes into the mirror, unchanged.",
        ) from error


def _randomise(network: keras.Model, seed: int) -> None:
    """Draw every kernel from He's normal distribution (He et al., 2015) and leave normalisations at identity.

    Keras's own initialisation lets activations vanish over VGG's thirteen and more layers, and counts a
    depthwise kernel's fan-in over all channels although each output sees one; with variance kept from layer to
    layer, similar images keep similar features, which is all that a head on random features can live on
    (random features: Rahimi & Recht, 2007; depth and similarity: Schoenholz et al., 2017).
    """
    generator = np.random.default_rng(seed)
    for layer in network.layers:
        kernels = [weight for weight in layer.weights if "kernel" in weight.name]
        for kernel in kernels:
            depthwise = "depthwise" in kernel.path or isinstance(layer, keras.layers.DepthwiseConv2D)
            fan_in = math.prod(kernel.shape[:2]) * (1 if depthwise else kernel.shape[2])
            # A separable convolution has no ReLU between its two kernels, so its depthwise one keeps variance with 1.
            gain = 1.0 if isinstance(layer, keras.layers.SeparableConv2D) and depthwise else 2.0
            kernel.assign(generator.normal(0.0, math.sqrt(gain / fan_in), kernel.shape))


def _from_mirror(
    backbone: Backbone, options: dict[str, Any], size: int, weights: WeightsSettings, store: StoreSettings
) -> Path | None:
    if weights.mirror is None:
        return None
    name = _file_name(backbone, options, size)
    mirror = open_store(store.model_copy(update={"url": weights.mirror}))
    if mirror.head(name) is None:
        if weights.download:
            return None
        raise WeightsError(
            f"There is no {name} in the weights mirror {weights.mirror}.",
            "Put Keras's file there, or set `weights.download: true`.",
        )
    path = mirror.materialize(name, store.cache_dir / "weights")
    _check_md5(path, backbone.weights_md5)
    return path


def _file_name(backbone: Backbone, options: dict[str, Any], size: int) -> str:
    alpha = {1.0: "1_0", 0.75: "7_5", 0.5: "5_0", 0.25: "2_5"}.get(options.get("alpha") or 1.0)
    trained_size = size if size in (128, 160, 192, 224) else 224
    if "{alpha}" in backbone.weights_file and alpha is None:
        raise WeightsError(
            f"There are no ImageNet weights for alpha {options['alpha']}.", "Published: 1.0, 0.75, 0.5 and 0.25."
        )
    return backbone.weights_file.format(alpha=alpha, size=trained_size)


def _check_md5(path: Path, expected: str | None) -> None:
    if expected is None:
        return
    found = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
    if found != expected:
        raise WeightsError(
            f"{path} has MD5 {found}, Keras publishes {expected}.", "Fetch the file again and put it into the mirror."
        )


def _download(application: Callable[..., Any], arguments: dict[str, Any], weights: WeightsSettings) -> keras.Model:
    before = socket.getdefaulttimeout()
    # Keras's downloader takes no time-out of its own.
    socket.setdefaulttimeout(weights.timeout_seconds)
    try:
        return application(weights="imagenet", **arguments)
    except Exception as error:
        raise WeightsError(
            f"ImageNet weights for {application.__name__} cannot be downloaded: {error}",
            "Set `weights.mirror` to a folder or prefix that holds Keras's files, or `weights: random` to try things.",
        ) from error
    finally:
        socket.setdefaulttimeout(before)
