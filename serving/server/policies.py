"""Which versions of a base path shall serve: ``latest``, ``all`` and ``specific``, as in a model config file."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from serving.server.discovery import discover_versions

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["Policy", "all_versions", "latest", "nothing", "read_policy", "specific"]

log = logging.getLogger(__name__)

#: From a base path to the folders of the versions that shall serve, by number; OSError when it cannot be read.
Policy = Callable[[Path], Mapping[int, Path]]


def latest(count: int = 1) -> Policy:
    """The highest ``count`` versions that are there."""

    def choose(base_path: Path) -> Mapping[int, Path]:
        found = discover_versions(base_path)
        return {version: found[version] for version in sorted(found)[-count:]}

    return choose


def all_versions(base_path: Path) -> Mapping[int, Path]:
    """Every version that is there."""
    return discover_versions(base_path)


def nothing(base_path: Path) -> Mapping[int, Path]:  # noqa: ARG001 - a policy's form
    """No version: the policy of a model that is not configured any more."""
    return {}


def specific(versions: Collection[int]) -> Policy:
    """The versions named, as far as they are there. The folder is not listed, so ``007`` is not version 7 here."""
    warned: set[int] = set()

    def choose(base_path: Path) -> Mapping[int, Path]:
        # A base path that went missing is an error and changes nothing; one without the versions unloads them.
        base_path.stat()
        folders = {version: base_path / str(version) for version in versions}
        found = {version: folder for version, folder in folders.items() if folder.exists()}
        missing = set(folders) - set(found)
        for version in sorted(missing - warned):
            log.warning("version %d is to be served, but %s is not there", version, folders[version])
        warned.clear()
        warned.update(missing)
        return found

    return choose


def read_policy(config: Any) -> Policy:
    """The policy of a ``ServableVersionPolicy``; without a choice it is the highest version."""
    choice = config.WhichOneof("policy_choice")
    if choice == "all":
        return all_versions
    if choice == "specific":
        return specific(set(config.specific.versions))
    return latest(max(1, config.latest.num_versions))
