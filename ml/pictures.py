"""From what people call an image to the picture: all files, accepted or refused, whose pixels are the same."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ml import layout
from ml.errors import DataError, NotFoundError
from ml.images import pixel_id_of
from ml.threads import map_ahead
from ml.tombstones import FORGOTTEN, read_tombstone

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping

    import pandas as pd

    from ml.context import Context
    from ml.storage import Store

__all__ = ["Picture", "find_pictures"]

#: Digits of a SHA-256 that are enough to name an image that is to be forgotten.
MIN_DIGITS = 8
WORKERS = 8
#: Reasons of quarantine for which there are no pixels to look at.
WITHOUT_PIXELS = frozenset(
    {"empty", "not_an_image", "truncated", "unsupported_form", "too_many_pixels", "too_many_bytes", FORGOTTEN}
)


@dataclass(frozen=True)
class Picture:
    """SHA-256 digests of the files of one picture, sorted, and of its pixels; None when they cannot be decoded."""

    image_ids: tuple[str, ...]
    pixel_id: str | None

    @property
    def digests(self) -> frozenset[str]:
        """All of them."""
        return frozenset(filter(None, (*self.image_ids, self.pixel_id)))


def find_pictures(
    context: Context, ledger: pd.DataFrame, names: Iterable[str], others: Mapping[str, str | None] | None = None
) -> list[Picture]:
    """The pictures that image ids or their first digits name, each once.

    Args:
        context: settings and store; what lies in quarantine for another reason than its content is decoded, since
            the ledger does not know its pixels.
        ledger: with the columns reason, image_id, pixel_id and source_key.
        names: at least 8 digits each.
        others: pixel ids by image id of images that never arrived, such as those kept of requests.

    Raises:
        DataError: a name means no image, or several pictures.
    """
    pixels = dict(others or {}) | _pixels(context, ledger)
    return list(dict.fromkeys(_find(context.store, pixels, name) for name in names))


def _pixels(context: Context, ledger: pd.DataFrame) -> dict[str, str | None]:
    """Pixel ids by image id."""
    rows = ledger[ledger["image_id"].notna()]
    decoded = rows[rows["pixel_id"].notna()]
    known: dict[str, str | None] = dict(zip(decoded["image_id"], decoded["pixel_id"], strict=True))
    others = rows[~rows["image_id"].isin(known)].drop_duplicates("image_id")
    hidden = others[~others["reason"].isin(WITHOUT_PIXELS)]

    def look(row: Mapping[Hashable, Any]) -> str | None:
        key, _ = layout.quarantine_keys(row["reason"], row["image_id"], row["source_key"])
        try:
            return pixel_id_of(context.store.get(key), context.settings.images)
        except NotFoundError:
            return None

    looked = map_ahead(look, hidden.to_dict("records"), WORKERS, "pixels")
    return dict.fromkeys(others["image_id"]) | known | dict(zip(hidden["image_id"], looked, strict=True))


def _find(store: Store, pixels: Mapping[str, str | None], name: str) -> Picture:
    digits = name.lower()
    if not re.fullmatch(f"[0-9a-f]{{{MIN_DIGITS},64}}", digits):
        raise DataError(
            f"'{name}' is no image id.", f"Give a SHA-256, or {MIN_DIGITS} or more of its first digits, for each image."
        )
    found = [image_id for image_id in pixels if image_id.startswith(digits)]
    if not found:
        raise DataError(
            f"The newest snapshot knows no image '{name}'.",
            "Give an image id as manifests, reports and `quartet quarantine list` show it.",
        )
    pictures = {_picture(store, pixels, image_id) for image_id in found}
    if len(pictures) > 1:
        few = ", ".join(sorted(found)[:5])
        raise DataError(f"'{name}' begins {len(pictures)} different images: {few}.", "Give more digits.")
    return pictures.pop()


def _picture(store: Store, pixels: Mapping[str, str | None], image_id: str) -> Picture:
    pixel_id = pixels[image_id]
    record = read_tombstone(store, [*sorted(_same(pixels, image_id, pixel_id)), pixel_id])
    if record:  # what an earlier try knew of it, and cannot be found out any more
        pixel_id = pixel_id or record["pixel_id"]
    ids = _same(pixels, image_id, pixel_id) | set(record["image_ids"] if record else ())
    return Picture(tuple(sorted(ids)), pixel_id)


def _same(pixels: Mapping[str, str | None], image_id: str, pixel_id: str | None) -> set[str]:
    if pixel_id is None:
        return {image_id}
    return {image_id, *(other for other, other_pixels in pixels.items() if other_pixels == pixel_id)}
