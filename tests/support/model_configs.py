"""Text protos ``ModelServerConfig`` for tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def specific(*versions: int) -> str:
    """The policy of versions that are named."""
    return f"specific {{ {' '.join(f'versions: {version}' for version in versions)} }}"


def latest(count: int) -> str:
    return f"latest {{ num_versions: {count} }}"


def model(
    base_path: Path | str,
    policy: str | None = None,
    name: str = "m",
    platform: str | None = "tensorflow",
    **labels: int,
) -> str:
    """One model's entry; its labels by keyword."""
    fields = [f'name: "{name}"', f'base_path: "{base_path}"']
    if platform is not None:
        fields.append(f'model_platform: "{platform}"')
    if policy is not None:
        fields.append(f"model_version_policy {{ {policy} }}")
    fields += [f'version_labels {{ key: "{label}" value: {version} }}' for label, version in labels.items()]
    return f"config {{ {' '.join(fields)} }}"


def config(*models: str) -> str:
    """A configuration of these models; without any an empty list."""
    return _braced("model_config_list", models)


def _braced(name: str, parts: Iterable[str]) -> str:
    return f"{name} {{ {' '.join(parts)} }}"
