"""Task ``list_missing``: say how each variant's feature maps are made, and which of them the cache lacks."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from ml.extraction import describe_maps, missing_images
from ml.feature_plan import plan_parts, store_maps, store_part
from ml.plan import load_plan, load_samples
from ml.sources import image_sources

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ml.context import Context

__all__ = ["run"]

log = logging.getLogger(__name__)

#: Characters of a part's name that its variants may take.
MAX_NAMES = 60


def run(context: Context, run_id: str) -> list[str]:
    """Cut what has to be extracted into parts; none where all is cached.

    Corrupt shards of the cache are moved aside here, and their images are missing then.

    Returns:
        Names of the parts, which tell their variants.
    """
    store, settings = context.store, context.settings
    variants = load_plan(store, run_id)["variants"]
    images = image_sources(load_samples(store, run_id), settings.augment)
    maps = [describe_maps(context, settings, variant, images) for variant in variants]
    missing = {one.variant: missing_images(context, one, images) for one in maps}
    store_maps(store, run_id, maps)
    names = []
    for number, (lacking, chosen) in enumerate(plan_parts(missing, settings.features.part_size)):
        names.append(f"{number:05d}-{_wording(lacking)}")
        store_part(store, run_id, names[-1], lacking, chosen)
    for one in maps:
        lacking_images = len(missing[one.variant])
        log.info(
            "%s: %d images to extract, %d already cached, %s, %s",
            one.variant,
            lacking_images,
            len(images) - lacking_images,
            one.precision,
            store.uri(one.prefix),
        )
    return names


def _wording(variants: Sequence[str]) -> str:
    names = "-".join(variants)
    return names if len(names) <= MAX_NAMES else f"{len(variants)}-variants"
