"""What a published version answers, without a server: the model as it is served, from encoded images."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ml.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ml.context import Context

__all__ = ["predict_published"]

BATCH = 32


def predict_published(context: Context, version: int, uris: Sequence[str]) -> NDArray[np.float32]:
    """Ask a version for images.

    Args:
        context: settings and store.
        version: published under the settings' model name.
        uris: keys of the encoded images.

    Returns:
        Probabilities as they are served, float32 [N, C], in the order of the model's classes.

    Raises:
        DataError: the version is not whole in the store, or cannot decode an image.
    """
    import tensorflow as tf

    from serving.mirror import Mirror

    name = context.settings.model_name
    with tempfile.TemporaryDirectory() as folder:
        failed = Mirror(context.store, name, Path(folder)).fetch({version})
        if failed:
            raise DataError(f"Version {version} of {name} cannot be read: {failed[version]}", "Restore its files.")
        restored = tf.saved_model.load(str(Path(folder) / str(version)))
        answers = []
        for start in range(0, len(uris), BATCH):
            images = [context.store.get(uri) for uri in uris[start : start + BATCH]]
            answers.append(restored.signatures["serving_default"](image_bytes=tf.constant(images)))
    refused = sum(int((answer["status"].numpy() != b"OK").sum()) for answer in answers if "status" in answer)
    if refused:
        raise DataError(f"Version {version} of {name} cannot decode {refused} of {len(uris)} images.", "Look at these.")
    return np.concatenate([answer["probabilities"].numpy() for answer in answers]).astype(np.float32)
