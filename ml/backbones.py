"""The frozen backbones: a registry of small specifications, their adapters and their weights."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from ml.errors import ConfigError, WeightsError
from ml.initialisation import randomise
from ml.precision import policy_of
from ml.weights import WeightsFile, load_published

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ml.config import Settings, StoreSettings, VariantSettings, WeightsSettings

__all__ = ["BACKBONES", "Backbone", "build_backbone", "weights_digest"]

#: Mean of ImageNet in BGR, 0-255, which the VGG weights were trained around (Simonyan & Zisserman, 2014).
CAFFE_MEAN_BGR = (103.939, 116.779, 123.68)
#: MobileNet's widths that ImageNet weights are published for, as their files' names write them, and input sizes.
PUBLISHED_WIDTHS = {1.0: "1_0", 0.75: "7_5", 0.5: "5_0", 0.25: "2_5"}
PUBLISHED_SIZES = (128, 160, 192, 224)


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
        WeightsError: the weights cannot be had, or have another digest than the published or pinned one.
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
    arguments = {"include_top": False, "input_shape": shape, **options}
    if weights.source == "random":
        network = getattr(keras.applications, backbone.application)(weights=None, **arguments)
        randomise(network, weights.seed)
        return network
    _check_pins(weights)
    file = WeightsFile(backbone.application, _file_name(backbone, options, shape[0]), backbone.weights_md5)
    return load_published(file, arguments, weights, store)


def _file_name(backbone: Backbone, options: dict[str, Any], size: int) -> str:
    width = options.get("alpha") or 1.0
    if "{alpha}" in backbone.weights_file and width not in PUBLISHED_WIDTHS:
        raise WeightsError(f"There are no ImageNet weights for alpha {width}.", "Published: 1.0, 0.75, 0.5 and 0.25.")
    trained_size = size if size in PUBLISHED_SIZES else 224
    return backbone.weights_file.format(alpha=PUBLISHED_WIDTHS.get(width), size=trained_size)


def _check_pins(weights: WeightsSettings) -> None:
    """A pin under a name that is never looked for would guard nothing."""
    known = {
        backbone.weights_file.format(alpha=alpha, size=size)
        for backbone in BACKBONES.values()
        for alpha in PUBLISHED_WIDTHS.values()
        for size in PUBLISHED_SIZES
    }
    unknown = sorted(set(weights.sha256) - known)
    if unknown:
        raise ConfigError(
            f"`weights.sha256` names {', '.join(unknown)}, which Keras does not publish.",
            f"Known: {', '.join(sorted(known))}.",
        )
