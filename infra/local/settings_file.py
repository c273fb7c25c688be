"""The settings of a local stack: those of ``quartet.yaml``, made independent of the working folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from infra.local.files import replace_file
from infra.local.layout import HOST
from ml.config import DEFAULT_FILE, ENV_FILE, REVEAL_SECRETS, Settings, load_settings

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["local_settings", "write_settings"]

SQLITE = "sqlite:///"


def local_settings(root: Path, environ: Mapping[str, str]) -> Settings:
    """Read the settings with their overrides; relative paths become absolute ones below the root.

    The file is the one that ``QUARTET_CONFIG`` names, else ``quartet.yaml`` in the root.

    Raises:
        ConfigError: as `load_settings`.
    """
    named = environ.get(ENV_FILE)
    settings = load_settings(Path(named) if named else root / DEFAULT_FILE, environ)
    data = settings.model_dump(mode="json", context=REVEAL_SECRETS)
    _anchor(data, "artifact_uri", root)
    _anchor(data, "tracking_uri", root)
    _anchor(data["store"], "url", root)
    _anchor(data["store"], "cache_dir", root)
    _anchor(data["weights"], "mirror", root)
    _anchor(data["serving"], "model_dir", root)
    data["serving"]["host"] = HOST
    return Settings.model_validate(data)


def write_settings(path: Path, settings: Settings) -> bool:
    """Write the settings as YAML, in one step, if they differ from what the file holds; return whether they did.

    The file holds the secrets of `alerts`, so only the owner can read it.
    """
    text = yaml.safe_dump(settings.model_dump(mode="json", context=REVEAL_SECRETS), sort_keys=False)
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return False
    replace_file(path, text, mode=0o600)
    return True


def _anchor(section: dict[str, Any], key: str, root: Path) -> None:
    value = section[key]
    if value is None:
        return
    scheme = SQLITE if value.startswith(SQLITE) else ""
    if not scheme and "://" in value:
        return
    section[key] = f"{scheme}{root / value.removeprefix(scheme)}"
