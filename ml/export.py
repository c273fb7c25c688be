"""The SavedModel that is served: preprocessing, backbone and head in one graph, with named signatures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import tensorflow as tf

from ml import layout
from ml.ensemble import common_grid, resize_matrix
from ml.inference import build_frozen
from ml.preprocessing import PREPROCESSING_VERSION
from ml.signatures import ServedModel, set_methods
from ml.storage import dump_json
from ml.stored_weights import StoredModel

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    import keras

    from ml.config import Settings

__all__ = ["assemble_ensemble", "assemble_model", "assemble_scaled", "export_model"]

#: As `images.max_pixels` has it where nothing else is set.
MAX_PIXELS = 50_000_000


class Classifier(tf.Module):  # type: ignore[misc]
    """A frozen backbone and a head in one: float32 [N, size, size, 3] in [0, 1] to probabilities and attention."""

    def __init__(self, backbone: Callable[[Any], Any], head: keras.Model) -> None:
        super().__init__(name="classifier")
        self._backbone = backbone
        self.head = head

    def __call__(self, images: Any) -> dict[str, Any]:
        """``probabilities`` float32 [N, C] and ``attention`` float32 [N, H, W]."""
        return dict(self.head(self._backbone(images), training=False))


def assemble_model(settings: Settings, variant: str, head: keras.Model, precision: str) -> Classifier:
    """Join backbone and head.

    Args:
        settings: as the candidate was trained with.
        variant: the candidate's.
        head: its trained head.
        precision: of the backbone's arithmetic, the one its features were extracted in: a head is no better than the
            features it gets, and rounding moves those of a deep network.
    """
    return Classifier(build_frozen(settings, variant, precision), head)


class _Ensemble(tf.Module):  # type: ignore[misc]
    """The vote of :func:`ml.ensemble.soft_vote` as TensorFlow's operations."""

    def __init__(
        self, members: Sequence[Callable[..., Any]], weights: Sequence[float], grids: Sequence[Sequence[int]]
    ) -> None:
        super().__init__(name="ensemble")
        self.members = list(members)
        self._weights = tuple(weights)
        height, width = common_grid(grids)
        self._resizing = [(resize_matrix(height, grid[0]), resize_matrix(width, grid[1])) for grid in grids]

    def __call__(self, images: Any) -> dict[str, Any]:
        outputs = [member(images) for member in self.members]
        maps = [self._resize(output["attention"], *by) for output, by in zip(outputs, self._resizing, strict=True)]
        return {
            "probabilities": self._mean([output["probabilities"] for output in outputs]),
            "attention": self._mean(maps),
        }

    def _mean(self, values: Sequence[Any]) -> Any:
        return tf.add_n([weight * value for weight, value in zip(self._weights, values, strict=True)])

    @staticmethod
    def _resize(maps: Any, rows: Any, columns: Any) -> Any:
        resized = tf.einsum("yh,nhw,xw->nyx", rows, maps, columns)
        return resized / tf.reduce_sum(resized, axis=(1, 2), keepdims=True)


def assemble_ensemble(
    members: Sequence[Callable[..., Any]], weights: Sequence[float], grids: Sequence[Sequence[int]]
) -> Callable[..., Any]:
    """Join several models into one that answers with the weighted mean of theirs.

    Args:
        members: as :func:`assemble_model` gives them.
        weights: of their votes, with sum 1.
        grids: height and width of each one's attention map.
    """
    return _Ensemble(members, weights, grids)


class _Scaled(tf.Module):  # type: ignore[misc]
    """:func:`ml.temperature.soften` as TensorFlow's operations."""

    def __init__(self, model: Callable[..., Any], temperature: float) -> None:
        super().__init__(name="scaled")
        self.model = model
        self._power = 1 / temperature

    def __call__(self, images: Any) -> dict[str, Any]:
        output = self.model(images)
        probabilities = output["probabilities"]
        powers = tf.pow(probabilities / tf.reduce_max(probabilities, axis=1, keepdims=True), self._power)
        return {**output, "probabilities": powers / tf.reduce_sum(powers, axis=1, keepdims=True)}


def assemble_scaled(model: Callable[..., Any], temperature: float) -> Callable[..., Any]:
    """A model whose probabilities are scaled by a temperature.

    Args:
        model: as :func:`assemble_model` or :func:`assemble_ensemble` gives it.
        temperature: from :func:`ml.temperature.fit_temperature`; 1 gives the model as it is.
    """
    return model if temperature == 1 else _Scaled(model, temperature)


def export_model(
    model: Callable[..., Any],
    size: int,
    classes: Sequence[str],
    folder: Path,
    *,
    max_pixels: int = MAX_PIXELS,
    facts: Mapping[str, Any] | None = None,
) -> None:
    """Write a SavedModel with the signatures of :mod:`ml.signatures`, its labels and a record of what it is.

    The weights lie once among its variables, whatever the number of signatures. They pass through one protocol buffer
    on the way, which holds 2 GB: the four backbones together have 240 MB.

    Args:
        model: as :func:`assemble_model` and its like give it.
        size: height and width of its images, pixels.
        classes: labels in the order of its outputs.
        folder: where to write; it must not exist or be empty.
        max_pixels: larger JPEG and PNG files are answered as undecodable.
        facts: what else ``assets.extra/serving.json`` is to say, as JSON holds it.
    """
    served = ServedModel(StoredModel(model, size), size, classes, max_pixels)
    signatures = served.signatures()
    tf.saved_model.save(served, str(folder), signatures=signatures)
    set_methods(folder)
    extra = folder / layout.SERVING_FACTS
    extra.parent.mkdir(parents=True, exist_ok=True)
    (folder / layout.SERVING_LABELS).write_text("".join(f"{label}\n" for label in classes))
    own = {
        "tensorflow": tf.version.VERSION,
        "preprocessing": PREPROCESSING_VERSION,
        "size": size,
        "max_pixels": max_pixels,
        "classes": list(classes),
        "signatures": sorted(signatures),
    }
    extra.write_bytes(dump_json({**(facts or {}), **own}))
