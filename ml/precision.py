"""In which precision a machine computes."""

from __future__ import annotations

from pathlib import Path

__all__ = ["policy_of", "resolve_precision"]


def resolve_precision(precision: str) -> str:
    """Turn ``auto`` into what the machine is good at: bfloat16 with AMX, AVX512-BF16 or an Ampere GPU, else float32."""
    if precision != "auto":
        return precision
    return "bfloat16" if _gpu_has_bfloat16() or _cpu_has_bfloat16() else "float32"


def _gpu_has_bfloat16() -> bool:
    import tensorflow as tf

    details = [tf.config.experimental.get_device_details(gpu) for gpu in tf.config.list_physical_devices("GPU")]
    return bool(details) and all(detail.get("compute_capability", (0, 0)) >= (8, 0) for detail in details)


def _cpu_has_bfloat16() -> bool:
    description = Path("/proc/cpuinfo")
    if not description.exists():  # only Linux says so
        return False
    flags = set(description.read_text(encoding="utf-8", errors="replace").split())
    return bool(flags & {"amx_bf16", "avx512_bf16"})


def policy_of(precision: str) -> str:
    """Keras's name for arithmetic in a precision on weights that stay float32."""
    return "mixed_bfloat16" if precision == "bfloat16" else "float32"
