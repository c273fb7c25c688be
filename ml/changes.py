"""What may happen to an image on its way to a model: changes that harm it, and changes that should mean nothing.

The first are corruptions in the manner of Hendrycks & Dietterich (2019), the second invariance tests as behavioural
testing has them (Ribeiro et al., 2020). They are made of the decoded image at the model's size, always in the same way,
so that a changed image's feature map can be cached like that of the image itself.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

import cv2
import numpy as np

from ml.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    #: From float32 [size, size, 3] in [0, 1], with numbers of the image's own, to the same kind.
    Apply = Callable[[np.ndarray, np.random.Generator], np.ndarray]

__all__ = ["CHANGES", "Change", "apply_change", "changed_id"]

#: Names what the changes below do; another number for other arithmetic, since changed images' maps are cached.
CHANGES_VERSION = 1
#: Side in pixels at which blurs are stated.
STATED_SIDE = 224


@dataclass(frozen=True)
class Change:
    """A change.

    Attributes:
        title: as reports name it.
        kind: whether the model may lose by it, or must not.
        apply: makes it.
    """

    title: str
    kind: Literal["corruption", "invariance"]
    apply: Apply


def apply_change(pixels: np.ndarray, image_id: str, name: str) -> np.ndarray:
    """Change an image.

    Args:
        pixels: float32 [size, size, 3] in [0, 1].
        image_id: of the image or of its change; seeds noise and directions, so that it is the same wherever it is made.
        name: one of :data:`CHANGES`.

    Returns:
        float32 [size, size, 3] in [0, 1].

    Raises:
        ConfigError: there is no such change.
    """
    if name not in CHANGES:
        raise ConfigError(f"There is no change '{name}'.", f"Known: {', '.join(CHANGES)}.")
    seed = hashlib.sha256(f"{image_id.partition('+')[0]} {name}".encode()).digest()
    generator = np.random.default_rng(int.from_bytes(seed[:8], "big"))
    changed = CHANGES[name].apply(pixels, generator)
    clipped: np.ndarray = np.clip(changed, 0, 1).astype(np.float32)
    return clipped


def changed_id(image_id: str, name: str) -> str:
    """Under which a changed image's feature map is cached; :func:`ml.augment.original` gives the image back."""
    return f"{image_id}+{name}.{CHANGES_VERSION}"


def _blurred(pixels: np.ndarray, _: np.random.Generator, sigma: float) -> np.ndarray:
    scaled = sigma * pixels.shape[0] / STATED_SIDE
    return np.asarray(cv2.GaussianBlur(pixels, (0, 0), scaled, borderType=cv2.BORDER_REFLECT_101))


def _noisy(pixels: np.ndarray, generator: np.random.Generator, deviation: float) -> np.ndarray:
    noise = generator.standard_normal((*pixels.shape[:2], 1), np.float32)  # grey, as a detector's
    return np.asarray(pixels + np.float32(deviation) * noise)


def _brightened(pixels: np.ndarray, _: np.random.Generator, factor: float) -> np.ndarray:
    return pixels * np.float32(factor)


def _compressed(pixels: np.ndarray, _: np.random.Generator, quality: int) -> np.ndarray:
    grey = np.rint(pixels * 255).astype(np.uint8)
    encoded = cv2.imencode(".jpg", cv2.cvtColor(grey, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    decoded = cv2.cvtColor(cv2.imdecode(encoded, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    return np.asarray(decoded.astype(np.float32) / 255)


def _turned(pixels: np.ndarray, generator: np.random.Generator, degrees: float) -> np.ndarray:
    centre = (pixels.shape[0] - 1) / 2
    angle = degrees * generator.choice((-1, 1))
    return _moved(pixels, cv2.getRotationMatrix2D((centre, centre), angle, 1))


def _shifted(pixels: np.ndarray, generator: np.random.Generator, share: float) -> np.ndarray:
    across, down = share * pixels.shape[0] * generator.choice((-1, 1), 2)
    return _moved(pixels, np.array([[1, 0, across], [0, 1, down]]))


def _moved(pixels: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    size = pixels.shape[:2]
    return np.asarray(cv2.warpAffine(pixels, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))


#: By name. What comes in at an edge repeats the edge.
CHANGES = {
    "blur-1": Change("slightly blurred (Gaussian, 1 px of 224)", "corruption", partial(_blurred, sigma=1)),
    "blur-2": Change("blurred (Gaussian, 2 px of 224)", "corruption", partial(_blurred, sigma=2)),
    "noise-4": Change("slightly noisy (4 % of white)", "corruption", partial(_noisy, deviation=0.04)),
    "noise-8": Change("noisy (8 % of white)", "corruption", partial(_noisy, deviation=0.08)),
    "dark-30": Change("30 % darker", "corruption", partial(_brightened, factor=0.7)),
    "bright-30": Change("30 % brighter", "corruption", partial(_brightened, factor=1.3)),
    "jpeg-30": Change("JPEG quality 30", "corruption", partial(_compressed, quality=30)),
    "jpeg-10": Change("JPEG quality 10", "corruption", partial(_compressed, quality=10)),
    "turn-5": Change("turned by 5°", "corruption", partial(_turned, degrees=5)),
    "turn-10": Change("turned by 10°", "corruption", partial(_turned, degrees=10)),
    "shift-2": Change("shifted by 2 % of a side", "invariance", partial(_shifted, share=0.02)),
    "turn-2": Change("turned by 2°", "invariance", partial(_turned, degrees=2)),
    "dark-5": Change("5 % darker", "invariance", partial(_brightened, factor=0.95)),
    "bright-5": Change("5 % brighter", "invariance", partial(_brightened, factor=1.05)),
    "jpeg-90": Change("JPEG quality 90", "invariance", partial(_compressed, quality=90)),
}
