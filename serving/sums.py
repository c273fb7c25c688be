"""``SHA256SUMS``: what makes a version published, and what its files are checked against."""

from __future__ import annotations

import hashlib
import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from ml.errors import DataError
from ml.layout import SUMS

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["SUMS", "check_digest", "parse_sums"]

LINE = re.compile(r"(?P<digest>[0-9a-fA-F]{64}) [ *](?P<path>.+)")
REMEDY = "Publish the version again, under a new number."


def parse_sums(document: bytes, uri: str) -> dict[str, str]:
    """Digests in lower case by relative path.

    Args:
        document: the file's bytes.
        uri: where they are from, for errors.

    Raises:
        DataError: there are no lines, or one is not a digest and a path that stays below the version.
    """
    lines = [line for line in document.decode("utf-8", "replace").splitlines() if line.strip()]
    if not lines:
        raise DataError(f"{uri} names no files.", REMEDY)
    digests = {}
    for line in lines:
        match = LINE.fullmatch(line)
        path = PurePosixPath(match["path"] if match else "")
        if match is None or path.is_absolute() or ".." in path.parts or str(path) in {".", SUMS}:
            raise DataError(f"{uri} has the line {line!r}.", REMEDY)
        digests[str(path)] = match["digest"].lower()
    return digests


def check_digest(file: Path, digest: str, uri: str) -> None:
    """Compare a file with its digest.

    Raises:
        DataError: they differ.
    """
    with file.open("rb") as content:
        found = hashlib.file_digest(content, "sha256").hexdigest()
    if found != digest:
        raise DataError(f"{uri} has the SHA-256 {found}, and {digest} in {SUMS}.", REMEDY)
