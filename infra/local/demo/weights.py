"""The demo's weights: ImageNet's when they can be had, else random ones, and never in silence."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import yaml

from ml.config import ENV_PREFIX
from ml.errors import WeightsError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ml.config import Settings

__all__ = ["choose_weights"]

VARIABLE = f"{ENV_PREFIX}WEIGHTS"


def choose_weights(
    settings: Settings, environ: Mapping[str, str], say: Callable[[str], None]
) -> tuple[dict[str, str], str | None]:
    """Fetch every variant's weights, from the mirror or by Keras's download, or turn to random ones.

    Returns:
        The environment for the stack, and why ImageNet's weights could not be had (None when they could, or when
        the settings ask for random ones).
    """
    if settings.weights.source == "random":
        return dict(environ), None
    say("looking for ImageNet weights")
    # TensorFlow calls it an error that there is no GPU.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from ml.backbones import build_backbone

    try:
        for variant in settings.variants:
            build_backbone(settings, variant)
            say(f"{variant}: ImageNet weights are here")
    except WeightsError as error:
        say("not to be had, going on with random weights")
        kept = {name: value for name, value in environ.items() if not name.startswith(VARIABLE)}
        weights = settings.weights.model_dump(mode="json") | {"source": "random"}
        return kept | {VARIABLE: yaml.safe_dump(weights, default_flow_style=True)}, error.message
    return dict(environ), None
