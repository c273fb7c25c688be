"""What a run extracts: laid down by `list_missing`, part by part, and read by the tasks after it."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from ml import layout
from ml.augment import original
from ml.errors import NotFoundError
from ml.extraction import Extracted, FeatureMaps
from ml.sources import ImageSource
from ml.storage import dump_json, read_json
from ml.tombstones import forgotten_ids

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ml.storage import Store

__all__ = [
    "extraction_seconds",
    "load_maps",
    "load_part",
    "plan_parts",
    "store_extracted",
    "store_maps",
    "store_part",
]


def plan_parts(
    missing: Mapping[str, Sequence[ImageSource]], size: int
) -> list[tuple[tuple[str, ...], list[ImageSource]]]:
    """Cut what is missing into parts, each of images that the same variants lack.

    Args:
        missing: the images that each variant lacks.
        size: of the largest part, images.

    Returns:
        The variants and the images of each part; every image is in one part only, so that it is decoded once.
    """
    lacking: dict[ImageSource, tuple[str, ...]] = {}
    for variant, images in missing.items():
        for image in images:
            lacking[image] = (*lacking.get(image, ()), variant)
    groups: dict[tuple[str, ...], list[ImageSource]] = {}
    for image, variants in lacking.items():
        groups.setdefault(variants, []).append(image)
    return [
        (variants, images[start : start + size])
        for variants, images in groups.items()
        for start in range(0, len(images), size)
    ]


def store_maps(store: Store, run_id: str, maps: Iterable[FeatureMaps]) -> None:
    """Write how the run's feature maps are made."""
    store.put(layout.run_key(run_id, "features.json"), dump_json({one.variant: asdict(one) for one in maps}))


def load_maps(store: Store, run_id: str) -> dict[str, FeatureMaps]:
    """How the run's feature maps are made, by variant."""
    document = read_json(store, layout.run_key(run_id, "features.json"))
    return {variant: FeatureMaps(**one) for variant, one in document.items()}


def store_part(store: Store, run_id: str, part: str, variants: Sequence[str], images: Sequence[ImageSource]) -> None:
    """Write what a task is to extract."""
    document = {"variants": list(variants), "images": [asdict(image) for image in images]}
    store.put(layout.part_key(run_id, part, "images.json"), dump_json(document))


def load_part(store: Store, run_id: str, part: str) -> tuple[list[str], list[ImageSource]]:
    """The variants and images of a part, without those that were forgotten since."""
    document = read_json(store, layout.part_key(run_id, part, "images.json"))
    images, forgotten = [ImageSource(**image) for image in document["images"]], forgotten_ids(store)
    return list(document["variants"]), [image for image in images if original(image.image_id) not in forgotten]


def store_extracted(store: Store, run_id: str, part: str, extracted: Mapping[str, Extracted]) -> None:
    """Write what became of a part, besides what an earlier try of it did."""
    key = layout.part_key(run_id, part, "extracted.json")
    try:
        before = {variant: Extracted(**one) for variant, one in read_json(store, key).items()}
    except NotFoundError:
        before = {}
    nothing = Extracted(0, 0.0)
    total = {variant: before.get(variant, nothing) + one for variant, one in extracted.items()}
    store.put(key, dump_json({variant: asdict(one) for variant, one in total.items()}))


def extraction_seconds(store: Store, run_id: str, variant: str) -> float:
    """What the run spent on a variant's feature maps, over all parts; 0 where nothing was missing."""
    seconds = 0.0
    for info in store.list(layout.run_key(run_id, "parts/")):
        if info.key.endswith("/extracted.json"):
            seconds += float(read_json(store, info.key).get(variant, {"seconds": 0.0})["seconds"])
    return seconds
