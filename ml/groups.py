"""Groups of images that belong together: of one patient, or nearly the same picture. A group shares one split."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ml.links import Links
from ml.splits import EXCLUDED, SPLITS

if TYPE_CHECKING:
    from ml.config import DuplicateSettings
    from ml.links import Flags, Numbers, SplitSets

__all__ = ["assign_groups"]


def assign_groups(images: pd.DataFrame, settings: DuplicateSettings) -> pd.DataFrame:
    """Give arriving images the group they belong to, and the split in which that group already lies.

    Images of one explicit group belong together, and so do images whose perceptual hashes differ in at most
    ``max_distance`` bits, unless they have different explicit groups: two patients may look alike. All that such
    links connect is one group, named after its smallest explicit group, else after its smallest pixel id. Placed
    images keep their splits, but two groups of one split become one when an arriving image connects them.

    Where links lead to two splits, the arriving images give way. First go those that are linked to images of two
    splits by themselves, by likeness or by their explicit group. Where the others still connect two splits, all
    that arrive there go, except those whose explicit group is placed: they follow it. Excluded images link nothing,
    now or later. The order of the rows decides nothing.

    Args:
        images: a row for each set of equal pixels, indexed by pixel id, with the columns perceptual_hash (16
            hexadecimal digits), explicit_group (or null), group, split (null for what arrives) and excluded.
        settings: how alike is alike.

    Returns:
        Columns group, split (still null where :func:`ml.splits.assign_splits` is to choose) and excluded.
    """
    links = Links(images, settings.max_distance)
    between, alive, component = _between(links)
    excluded = _torn(between)
    changed = alive & np.isin(component, component[alive & links.arriving])
    result = images[["group", "split", "excluded"]].astype("str")
    result.loc[changed, "group"] = _names(images[changed], component[changed])
    if excluded.any():
        result.loc[excluded, "group"] = _names(images[excluded], np.flatnonzero(excluded))
        result.loc[excluded, "split"] = EXCLUDED
        result.loc[excluded, "excluded"] = [_reason(splits) for splits in between[excluded]]
    reached = links.reached(component, alive)
    for number, split in enumerate(SPLITS):
        result.loc[alive & links.arriving & (reached == 1 << number), "split"] = split
    return result


def _between(links: Links) -> tuple[SplitSets, Flags, Numbers]:
    """The splits between which each arriving image stands: two or more exclude it.

    Also which images link anything after that, and their components.
    """
    direct = np.where(links.arriving, links.touched(), 0).astype(np.uint8)
    alive = (links.arriving | links.placed) & ~_torn(direct)
    component = links.components(alive)
    reached = links.reached(component, alive)
    gives_way = alive & links.arriving & (links.held == 0) & _torn(reached)
    if gives_way.any():
        alive &= ~gives_way
        component = links.components(alive)
    return np.where(gives_way, reached, direct).astype(np.uint8), alive, component


def _torn(splits: SplitSets) -> Flags:
    return np.asarray(np.bitwise_count(splits) > 1, dtype=bool)


def _names(members: pd.DataFrame, component: Numbers) -> list[str]:
    """The name of each member's group: the smallest explicit group in its component, else the smallest pixel id."""
    explicit = members["explicit_group"].astype(object).to_numpy()
    table = pd.DataFrame({"component": component, "explicit": explicit, "pixels": members.index})
    first = table.sort_values(["explicit", "pixels"], na_position="last").drop_duplicates("component")
    names = first["explicit"].where(first["explicit"].notna(), first["pixels"].str[:16])
    return list(table["component"].map(dict(zip(first["component"], names, strict=True))))


def _reason(splits: int) -> str:
    *others, last = [split for number, split in enumerate(SPLITS) if splits >> number & 1]
    return f"linked to images in {', '.join(others)} and {last}"
