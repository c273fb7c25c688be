"""The demo's images, and one `var` a source of them: a drawn set and real images never mix."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from infra.local.files import replace_file
from ml.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from infra.local.layout import Layout

__all__ = ["IMAGES_PER_CLASS", "SEED", "Source", "phantom_folder", "switch_source"]

IMAGES_PER_CLASS = 96
SEED = 0


@dataclass(frozen=True)
class Source:
    """Where the demo's images come from: a folder, or None for the drawn set."""

    folder: Path | None

    @classmethod
    def of(cls, folder: Path | None) -> Source:
        """Check a folder before anything is started.

        Raises:
            DataError: it is not there, or not one folder a class.
        """
        if folder is None:
            return cls(None)
        folder = folder.expanduser().resolve()
        if not folder.is_dir():
            raise DataError(
                f"There is no folder {folder}.", "DATA names a folder that holds one folder of images a class."
            )
        if not any(path.is_dir() and not path.name.startswith(".") for path in folder.iterdir()):
            raise DataError(f"{folder} holds no folders.", "Lay images out as <folder>/<label>/<file>.")
        return cls(folder)

    @property
    def name(self) -> str:
        """Short and different for each folder."""
        if self.folder is None:
            return "phantoms"
        return f"{self.folder.name}-{hashlib.sha256(str(self.folder).encode()).hexdigest()[:8]}"


def switch_source(layout: Layout, source: Source, stop: Callable[[], None], say: Callable[[str], None]) -> None:
    """Make ``var`` the one that belongs to a source of images.

    The ``var`` of another source is kept as ``var-<name>``, and comes back when the demo runs on that source again.

    Args:
        layout: of the stack.
        source: of the images.
        stop: stops the stack; called before anything moves.
        say: is told what moved.
    """
    owner = _owner(layout)
    if owner not in (None, source.name):
        stop()
        aside, wanted = (layout.root / f"var-{name}" for name in (owner, source.name))
        if aside.exists():
            raise DataError(
                f"{layout.var} holds what {owner} gave, and so does {aside}.", "Move or remove one of the two."
            )
        layout.var.rename(aside)
        say(f"what {owner} gave is kept in {aside}")
        if wanted.is_dir():
            wanted.rename(layout.var)
            say(f"going on from what {source.name} gave before")
    layout.make_folders()
    replace_file(_marker(layout), json.dumps({"source": source.name}) + "\n")


def phantom_folder(layout: Layout) -> Path:
    """Draw the phantom set, unless an earlier demo did."""
    from ml.phantom import draw_phantoms

    folder = layout.var / "phantoms"
    if not folder.is_dir():
        part = layout.var / "phantoms.part"
        shutil.rmtree(part, ignore_errors=True)
        draw_phantoms(part, IMAGES_PER_CLASS, SEED)
        part.rename(folder)
    return folder


def _marker(layout: Layout) -> Path:
    return layout.var / "demo.json"


def _owner(layout: Layout) -> str | None:
    """Name of the source that ``var`` belongs to; None when nobody's images are there yet."""
    if _marker(layout).is_file():
        return str(json.loads(_marker(layout).read_text(encoding="utf-8"))["source"])
    landing = layout.store / "landing"
    return "own" if landing.is_dir() and any(landing.iterdir()) else None
