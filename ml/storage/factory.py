"""From an address to a store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlparse

from ml.errors import ConfigError
from ml.storage.folder import FolderStore

if TYPE_CHECKING:
    from ml.config import StoreSettings
    from ml.storage.base import Store

__all__ = ["open_store"]


def open_store(settings: StoreSettings) -> Store:
    """Open the store at ``settings.url``; nothing is read or written yet.

    Raises:
        ConfigError: the address is of no known form.
    """
    parts = urlparse(settings.url)
    if "://" not in settings.url:
        return FolderStore(Path(settings.url).expanduser())
    if parts.scheme == "file":
        return FolderStore(Path(unquote(parts.path)))
    if parts.scheme == "s3" and parts.netloc:
        from ml.storage.s3 import S3Store  # boto3 takes half a second to import

        return S3Store(parts.netloc, parts.path.strip("/"), settings)
    raise ConfigError(
        f"There is no store of the form '{settings.url}'.", "Known: a folder, file:///folder, s3://bucket/prefix."
    )
