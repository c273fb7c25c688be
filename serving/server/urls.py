"""The REST URL grammar: from a method and a path to what is asked."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, cast
from urllib.parse import unquote

from serving.server.discovery import INT64_MAX
from serving.server.status import Code, StatusError

__all__ = ["Route", "parse_route"]

Action = Literal["predict", "classify", "regress", "status", "metadata"]

NAME = r"/v1/models(?:/(?P<name>[^/:]+))"
CHOICE = r"(?:/versions/(?P<version>[0-9]+)|/labels/(?P<label>[^/:]+))?"
INFERENCE = re.compile(NAME + CHOICE + r":(?P<verb>predict|classify|regress)", re.IGNORECASE)
# The name may be missing, so that the error can say so.
INSPECTION = re.compile(NAME + "?" + CHOICE + r"(?P<metadata>/metadata)?", re.IGNORECASE)


@dataclass(frozen=True)
class Route:
    """What a request asks; at most one of ``version`` and ``label`` is given."""

    action: Action
    name: str
    version: int | None = None
    label: str | None = None


def parse_route(method: str, path: str) -> Route:
    """Read a path that begins with ``/v1/``, percent-encoded as it came and without its query.

    Raises:
        StatusError: INVALID_ARGUMENT, since to TensorFlow Serving every wrong URL is a malformed request.
    """
    if method == "POST" and (match := INFERENCE.fullmatch(path)):
        action = match["verb"]
    elif method == "GET" and (match := INSPECTION.fullmatch(path)):
        action = "metadata" if match["metadata"] else "status"
    else:
        raise _malformed(method, path)
    name, version, label = _target(match)
    # The pattern takes a verb in capitals, nothing answers to one.
    if action != action.lower():
        raise _malformed(method, path)
    return Route(cast(Action, action), name, version, label)


def _target(match: re.Match[str]) -> tuple[str, int | None, str | None]:
    if match["name"] is None:
        raise StatusError(Code.INVALID_ARGUMENT, "Missing model name in request.")
    version = None if match["version"] is None else _number(match["version"])
    label = None if match["label"] is None else unquote(match["label"])
    return unquote(match["name"]), version, label


def _number(digits: str) -> int:
    # Python refuses to read thousands of digits, and no more than 19 fit.
    significant = digits.lstrip("0") or "0"
    if len(significant) > len(str(INT64_MAX)) or int(significant) > INT64_MAX:
        raise StatusError(Code.INVALID_ARGUMENT, f"Failed to convert version: {digits} to numeric.")
    return int(significant)


def _malformed(method: str, path: str) -> StatusError:
    return StatusError(Code.INVALID_ARGUMENT, f"Malformed request: {method} {path}")
