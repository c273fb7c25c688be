"""What computes here: the processor, and the GPUs of which a process takes one."""

from __future__ import annotations

import ctypes
import fcntl
import gc
import logging
import os
import platform
import tempfile
import time
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["claim_accelerator", "claim_one", "describe_machine", "release_memory"]

log = logging.getLogger(__name__)

PATIENCE_SECONDS = 1.0


@cache
def claim_accelerator() -> str:
    """Take one GPU that no other process of this machine has, for as long as this process lives.

    A process a GPU, instead of one process that mirrors its model on all of them: frozen backbones need no gradients
    to be exchanged, heads are small, and the parts of an extraction are tasks anyway, so that GPUs of one machine
    share a backlog as several machines do, and one that fails takes one task with it.

    Must be called before TensorFlow computes anything here. Where there is no GPU nothing is claimed.

    Returns:
        ``GPU:1`` or ``CPU``.
    """
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        return "CPU"
    # A worker may be shown some of the machine's GPUs only, and numbers those from 0.
    shown = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    names = shown if len(shown) == len(gpus) else [str(number) for number in range(len(gpus))]
    chosen = claim_one(names, Path(tempfile.gettempdir()))
    gpu = gpus[names.index(chosen)]
    tf.config.set_visible_devices(gpu, "GPU")
    tf.config.experimental.set_memory_growth(gpu, True)
    log.info("computing on GPU %s, one of %d", chosen, len(gpus))
    return f"GPU:{chosen}"


def claim_one(names: Sequence[str], folder: Path) -> str:
    """Lock the first free one of some devices until this process ends; wait while there is none.

    Args:
        names: of the devices.
        folder: for the lock files, the same for all processes of the machine.
    """
    waited = False
    while True:
        for name in names:
            descriptor = _open(folder / f"quartet-gpu-{name}.lock")
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                continue
            return name  # the descriptor stays open, and with it the lock
        if not waited:
            log.info("all %d GPUs are taken; the pool `gpu` has more slots than that", len(names))
            waited = True
        time.sleep(PATIENCE_SECONDS)


def _open(path: Path) -> int:
    """For a lock that may be of another user's: what is there already is only read."""
    try:
        return os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return os.open(path, os.O_CREAT | os.O_RDONLY, 0o644)


def release_memory() -> None:
    """Give memory that nothing uses back to the operating system, before work that needs much of it.

    Graphs refer to themselves: those that are done with are a few objects and hundreds of megabytes, and Python's
    collector, which counts objects, lets them lie. What is freed in many pieces glibc keeps, unless it is told.
    What is still used is kept out of every later collection's way, which would go through all of it.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # other C libraries have none
    if trim is not None:
        trim(0)


@cache
def describe_machine() -> str:
    """What decides how fast this machine computes: its GPU, or its processor and the number of its cores."""
    import tensorflow as tf

    gpus = tf.config.get_visible_devices("GPU")
    if gpus:
        return str(tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU"))
    return f"{_processor()}, {len(os.sched_getaffinity(0))} cores"


def _processor() -> str:
    description = Path("/proc/cpuinfo")
    if description.is_file():
        for line in description.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
