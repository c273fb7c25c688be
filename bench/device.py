"""What Keras computes on, whichever of its backends runs: its name, its peak memory, a compiled pass over a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["describe_device", "forward", "peak_gib", "wait_for"]


def describe_device() -> dict[str, str]:
    """Keras's backend and the device it computes on, in words."""
    return {"backend": _backend(), "device": _device_name()}


def forward(model: keras.Model) -> Callable[[Any], Any]:
    """A model's pass as its backend compiles it: from a tensor to a tensor, both on the device.

    What is returned may still be computed: see :func:`wait_for`.
    """
    if _backend() == "jax":
        import jax

        trainable, others = ([one.value for one in group] for group in _variables(model))
        # The weights as arguments: as constants of the graph they would take minutes to compile.
        compiled = jax.jit(lambda weights, images: model.stateless_call(*weights, images, training=False)[0])
        return lambda images: compiled((trainable, others), images)
    if _backend() == "tensorflow":
        import tensorflow as tf

        return tf.function(lambda images: model(images, training=False))  # type: ignore[no-any-return]
    import torch

    return torch.no_grad()(lambda images: model(images, training=False))  # type: ignore[no-any-return]


def wait_for(result: Any) -> None:
    """Return when a result has been computed: its first number is brought to the processor."""
    np.asarray(keras.ops.convert_to_numpy(result[:1, ..., :1]))


def peak_gib() -> float | None:
    """The most of the device's memory that this process held at once; None where its backend does not say."""
    if _backend() == "jax":
        import jax

        peak = (jax.local_devices()[0].memory_stats() or {}).get("peak_bytes_in_use")
    elif _backend() == "tensorflow":
        import tensorflow as tf

        gpus = tf.config.list_logical_devices("GPU")
        peak = tf.config.experimental.get_memory_info("GPU:0")["peak"] if gpus else None
    else:
        import torch

        peak = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else None
    return None if peak is None else peak / 2**30


def _backend() -> str:
    return str(keras.backend.backend())


def _variables(model: keras.Model) -> tuple[list[Any], list[Any]]:
    return model.trainable_variables, model.non_trainable_variables


def _device_name() -> str:
    if _backend() == "jax":
        import jax

        return str(jax.local_devices()[0].device_kind)
    if _backend() == "tensorflow":
        from ml.machine import describe_machine

        return describe_machine()
    import torch

    return str(torch.cuda.get_device_name()) if torch.cuda.is_available() else "cpu"
