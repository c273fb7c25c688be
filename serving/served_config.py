"""TensorFlow Serving's model config file, as the sync writes it: which versions are loaded, and what labels they have.

A label may only be given to a version that is available, and a version must not go while a label names it. So a change
takes two steps: first the version, then, once the server has it, the label; only then may the old version go.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ml.errors import DataError
from ml.serving_state import STABLE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Set as AbstractSet
    from pathlib import Path

    from ml.serving_state import ServingState

__all__ = ["EMPTY", "ServedConfig", "ServerView", "format_config", "parse_config", "plan_config"]

EMPTY = "model_config_list {}\n"
VERSION = re.compile(r"^ *versions: ([0-9]+)$", re.MULTILINE)
LABEL = re.compile(r'^ *version_labels \{ key: "([^"\\]+)" value: ([0-9]+) \}$', re.MULTILINE)


@dataclass(frozen=True)
class ServedConfig:
    """What a server is told of one model; without versions the server has no such model.

    Attributes:
        versions: to be loaded.
        labels: versions by label.
    """

    versions: frozenset[int] = frozenset()
    labels: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class ServerView:
    """What a server says of itself.

    Attributes:
        available: versions that it can answer with.
        labels: versions by label, as it answers for them; not those that it does not know.
    """

    available: frozenset[int] = frozenset()
    labels: Mapping[str, int] = field(default_factory=dict)


def plan_config(
    wanted: ServingState, current: ServedConfig, present: AbstractSet[int], server: ServerView | None
) -> ServedConfig:
    """The next step on the way to what is wanted; the same again when nothing can be done for now.

    The server reads the file some time after it is written, or not at all, when it is written again before. So a step
    holds whatever the server has made of the last ones: a version is only given a label when an earlier file had it
    loaded, and one that the server itself still gives a label stays. A label that the server has refused, since its
    version had just gone, is set back to what the server says.

    Args:
        wanted: by the record of what serves.
        current: what the server was told last.
        present: versions whose files are there, whole.
        server: what it says; None when it does not answer.
    """
    ready = server.available & present if server else frozenset()
    real = dict(server.labels if server else current.labels)
    labels = {}
    for label, version in wanted.labels.items():
        told = current.labels.get(label)
        if version in ready & current.versions:
            labels[label] = version
        elif label == STABLE and real.get(label) in ready:
            labels[label] = real[label]
        elif told is not None and told in present and (told == version or label == STABLE):
            # The last canary gives way at once; the last stable version only to one that answers.
            labels[label] = told
    versions = (wanted.versions | set(labels.values()) | set(real.values())) & present
    if wanted.stable is not None and wanted.stable not in ready:
        # Until the stable version answers, whatever does goes on.
        versions |= current.versions & ready
    return ServedConfig(frozenset(versions), labels)


def format_config(config: ServedConfig, model_name: str, folder: Path) -> str:
    """The file's text; ``folder`` holds the versions, as the server sees it, and is absolute."""
    if not config.versions:
        return EMPTY
    versions = [f"        versions: {version}" for version in sorted(config.versions)]
    labels = [
        f"    version_labels {{ key: {json.dumps(label)} value: {version} }}"
        for label, version in sorted(config.labels.items())
    ]
    lines = [
        "model_config_list {",
        "  config {",
        f"    name: {json.dumps(model_name)}",
        f"    base_path: {json.dumps(str(folder))}",
        '    model_platform: "tensorflow"',
        "    model_version_policy {",
        "      specific {",
        *versions,
        "      }",
        "    }",
        *labels,
        "  }",
        "}",
    ]
    return "\n".join(lines) + "\n"


def parse_config(text: str, path: Path) -> ServedConfig:
    """Read what :func:`format_config` wrote.

    Raises:
        DataError: somebody else wrote it.
    """
    found = ServedConfig(
        frozenset(int(version) for version in VERSION.findall(text)),
        {label: int(version) for label, version in LABEL.findall(text)},
    )
    if text.strip() and not found.versions and text != EMPTY:
        raise DataError(f"{path} is not as the sync writes it.", "Remove it; the sync writes it anew.")
    return found
