"""What links images: an explicit group, a group that is placed, or nearly equal hashes."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ml.hamming import close_pairs, parse_hashes
from ml.splits import SPLITS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Flags = NDArray[np.bool_]
    Numbers = NDArray[np.signedinteger[Any]]
    #: Sets of splits, a bit each in the order of SPLITS.
    SplitSets = NDArray[np.uint8]

__all__ = ["Links"]

#: Kinds of images: arriving or placed, without an explicit group or with one.
ARRIVING, ARRIVING_NAMED, PLACED, PLACED_NAMED = KINDS = range(4)
#: Kinds whose like images are linked. Two explicit groups are never linked by likeness, nor are two placed images.
LINKED = (
    (ARRIVING, ARRIVING),
    (ARRIVING, ARRIVING_NAMED),
    (ARRIVING, PLACED),
    (ARRIVING, PLACED_NAMED),
    (ARRIVING_NAMED, PLACED),
)
#: Pairs that are looked at together: bounds memory where very many images are alike.
CHUNK = 2**21


class Links:
    """A graph whose nodes are images, names of groups, and sets: the images of one kind that have one hash.

    All images of a set have the same like images, and every pair of images from two sets is linked if one is. So an
    edge between sets stands for them all, and the graph's size follows the number of distinct hashes, however many
    images share one.

    Args:
        images: as :func:`ml.groups.assign_groups` takes them.
        max_distance: bits in which the hashes of like images differ at most; None for no likeness.
    """

    def __init__(self, images: pd.DataFrame, max_distance: int | None) -> None:
        self._images = images
        self._max_distance = max_distance
        self.arriving: Flags = images["split"].isna().to_numpy(dtype=bool)
        #: in a split; what was excluded before links nothing
        self.placed: Flags = images["split"].isin(SPLITS).to_numpy(dtype=bool)
        named = images["explicit_group"].notna().to_numpy(dtype=bool)
        self._kind = (np.where(self.arriving, ARRIVING, PLACED) + named).astype(np.int32)
        self._values, numbers = np.unique(parse_hashes(images["perceptual_hash"].tolist()), return_inverse=True)
        self._hash = numbers.astype(np.int32)
        self._group, self._explicit, self._names = _number_names(images, self.placed)
        lies = [images["split"].eq(split).to_numpy(dtype=bool) for split in SPLITS]
        self._split = np.packbits(lies, axis=0, bitorder="little")[0]

    @cached_property
    def held(self) -> SplitSets:
        """The splits in which each image's group lies, be it the placed or the explicit one."""
        labels = np.arange(self._names, dtype=np.int32)
        both = self.placed & (self._explicit >= 0)
        labels = _join(labels, self._group[both], self._explicit[both])
        lies = np.zeros(self._names, dtype=np.uint8)
        np.bitwise_or.at(lies, labels[self._group[self.placed]], self._split[self.placed])
        name = np.where(self.placed, self._group, self._explicit)
        held = np.zeros(len(name), dtype=np.uint8)
        held[name >= 0] = lies[labels[name[name >= 0]]]
        return held

    def touched(self) -> SplitSets:
        """The splits to which each image is linked by itself: by its group, and by its like images."""
        near, there = np.zeros((2, len(KINDS), len(self._values)), dtype=np.uint8)
        np.bitwise_or.at(there, (self._kind[self.placed], self._hash[self.placed]), self.held[self.placed])
        for left, right in self._like_hashes():
            for kind, other in LINKED:
                np.bitwise_or.at(near[kind], left, there[other][right])
        return self.held | near[self._kind, self._hash]

    def components(self, alive: Flags) -> Numbers:
        """The number of each image's connected component, where only the images alive link anything."""
        images, hashes = len(self._images), len(self._values)
        full, linked = np.zeros((2, len(KINDS), hashes), dtype=bool)
        full[self._kind[alive], self._hash[alive]] = True
        labels = np.arange(images + len(KINDS) * hashes + self._names, dtype=np.int32)
        for left, right in self._like_hashes():
            edges = [_edges(full, kind, other, left, right) for kind, other in LINKED]
            ends = np.concatenate(edges, axis=1)
            linked.ravel()[ends.ravel()] = True
            labels = _join(labels, *(images + ends[:, ends[0] != ends[1]]))
        members = np.flatnonzero(alive & linked[self._kind, self._hash])
        labels = _join(labels, members, images + self._kind[members] * hashes + self._hash[members])
        for names in (self._group, self._explicit):
            members = np.flatnonzero(alive & (names >= 0))
            labels = _join(labels, members, len(labels) - self._names + names[members])
        return labels[:images]

    def reached(self, component: Numbers, alive: Flags) -> SplitSets:
        """The splits in which the component of each image has placed images."""
        splits = np.zeros(int(component.max(initial=-1)) + 1, dtype=np.uint8)
        placed = alive & self.placed
        np.bitwise_or.at(splits, component[placed], self._split[placed])
        return splits[component]

    def _like_hashes(self) -> Iterator[tuple[Numbers, Numbers]]:
        """Numbers of like hashes, each pair in both orders, and of each hash with itself."""
        if self._max_distance is None:
            return
        left, right = self._close
        for start in range(0, len(left), CHUNK):
            one, two = left[start : start + CHUNK], right[start : start + CHUNK]
            yield np.concatenate([one, two]), np.concatenate([two, one])
        same = np.arange(len(self._values), dtype=np.int32)
        yield same, same

    @cached_property
    def _close(self) -> tuple[Numbers, Numbers]:
        wanted = np.zeros(len(self._values), dtype=bool)
        wanted[self._hash[self.arriving]] = True
        return close_pairs(self._values, wanted, self._max_distance or 0)


def _number_names(images: pd.DataFrame, placed: Flags) -> tuple[Numbers, Numbers, int]:
    """Numbers of each image's placed group and of its explicit group, -1 for none, and how many names there are."""
    groups = images["group"].astype(object).where(placed, None)
    numbers, names = pd.factorize(pd.concat([groups, images["explicit_group"].astype(object)]))
    return numbers[: len(images)].astype(np.int32), numbers[len(images) :].astype(np.int32), len(names)


def _edges(full: Flags, kind: int, other: int, left: Numbers, right: Numbers) -> Numbers:
    """Edges [2, N] between those sets of two kinds that have images; a set's number is kind x hashes + hash."""
    both = full[kind][left] & full[other][right]
    hashes = full.shape[1]
    return np.stack([kind * hashes + left[both], other * hashes + right[both]])


def _join(labels: Numbers, left: Numbers, right: Numbers) -> Numbers:
    """Merge components along edges between nodes. Labels count from 0 without a gap."""
    if not len(left):
        return labels
    count = int(labels.max()) + 1
    graph = coo_array((np.ones(len(left), dtype=bool), (labels[left], labels[right])), shape=(count, count))
    merged: Numbers = connected_components(graph, directed=False)[1][labels]
    return merged
