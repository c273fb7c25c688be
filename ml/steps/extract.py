"""Task ``extract``, once a part: run images through the backbones that have not seen them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ml.extraction import Extracted, extract_maps, missing_images
from ml.feature_plan import load_maps, load_part, plan_parts, store_extracted

if TYPE_CHECKING:
    from ml.context import Context

__all__ = ["run"]


def run(context: Context, run_id: str, part: str) -> dict[str, Any]:
    """Extract one part; what an earlier try has extracted stays.

    Returns:
        ``run_id``, ``part``, ``extracted`` and ``seconds``, both by variant.
    """
    maps = load_maps(context.store, run_id)
    variants, images = load_part(context.store, run_id, part)
    missing = {variant: missing_images(context, maps[variant], images) for variant in variants}
    extracted = dict.fromkeys(variants, Extracted(0, 0.0))
    for lacking, chosen in plan_parts(missing, len(images)):
        done = extract_maps(context, context.settings, [maps[variant] for variant in lacking], chosen)
        extracted |= {variant: extracted[variant] + one for variant, one in done.items()}
    store_extracted(context.store, run_id, part, extracted)
    return {
        "run_id": run_id,
        "part": part,
        "extracted": {variant: one.images for variant, one in extracted.items()},
        "seconds": {variant: one.seconds for variant, one in extracted.items()},
    }
