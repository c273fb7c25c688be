"""Links against a plain search that compares every image with every other."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml import links
from ml.links import Links
from ml.splits import SPLITS

QUIET = settings(max_examples=80, deadline=None, derandomize=True, database=None)
DISTANCE = 2
#: Images as (bits of the hash, explicit group, place); a place is None, "excluded" or a split and number of a group.
hashes = st.sets(st.integers(0, 4), max_size=5).map(lambda places: sum(1 << 13 * place for place in places))
places = st.one_of(st.none(), st.just("excluded"), st.tuples(st.sampled_from(SPLITS), st.integers(0, 1)))
images = st.lists(st.tuples(hashes, st.sampled_from([None, None, "p", "q"]), places), max_size=16)


def table(rows):
    columns = ["perceptual_hash", "explicit_group", "group", "split"]
    data = []
    for bits, explicit, place in rows:
        split, number = place if isinstance(place, tuple) else (place, None)
        group = place and (f"{split}-{number}" if number is not None else explicit)
        data.append([f"{bits:016x}", explicit, group, split])
    return pd.DataFrame(data, pd.RangeIndex(len(data)).map(str), columns, dtype=object)


def named(row):
    """The names that hold an image to others: of its placed group and its explicit group."""
    return {name for name in ((row.group if row.split in SPLITS else None), row.explicit_group) if name}


def like(one, two):
    near = (int(one.perceptual_hash, 16) ^ int(two.perceptual_hash, 16)).bit_count() <= DISTANCE
    different = one.explicit_group and two.explicit_group and one.explicit_group != two.explicit_group
    return near and not different and None in {one.split, two.split} and "excluded" not in {one.split, two.split}


def connected(count, edges):
    labels = list(range(count))
    for one, two in edges:
        old, new = labels[one], labels[two]
        labels = [new if label == old else label for label in labels]
    return labels


def partition(labels, alive):
    return {frozenset(np.flatnonzero(alive & (np.asarray(labels) == label))) for label in labels} - {frozenset()}


@QUIET
@given(images, st.data())
def test_components_are_those_of_a_plain_search(rows, data):
    frame = table(rows)
    live = data.draw(st.lists(st.booleans(), min_size=len(rows), max_size=len(rows)))
    alive = np.array(live, bool) & (frame["split"] != "excluded").to_numpy(bool)
    pairs = [
        (one, two)
        for (one, first), (two, second) in combinations(enumerate(frame.itertuples()), 2)
        if alive[one] and alive[two] and (like(first, second) or named(first) & named(second))
    ]

    found = Links(frame, DISTANCE).components(alive)

    assert partition(found, alive) == partition(connected(len(rows), pairs), alive)


@QUIET
@given(images)
def test_the_splits_that_an_image_touches_are_those_of_a_plain_search(rows):
    frame = table(rows)
    found = Links(frame, DISTANCE)
    held = [splits_held(frame, row) for row in frame.itertuples()]
    expected = [
        held[number].union(
            *(held[other] for other, two in enumerate(frame.itertuples()) if placed(two) and like(one, two))
        )
        for number, one in enumerate(frame.itertuples())
    ]

    assert [as_set(splits) for splits in found.held] == held
    assert [as_set(splits) for splits in found.touched()] == expected


@pytest.mark.parametrize("chunk", [1, 3])
def test_the_size_of_a_chunk_does_not_matter(monkeypatch, chunk):
    rows = [(1 << 3 * number % 7 | number, None, None if number % 3 else ("test", 0)) for number in range(40)]
    frame, alive = table(rows), np.ones(40, bool)
    whole = Links(frame, DISTANCE)
    expected = partition(whole.components(alive), alive), whole.touched().tolist()
    monkeypatch.setattr(links, "CHUNK", chunk)
    pieces = Links(frame, DISTANCE)

    assert (partition(pieces.components(alive), alive), pieces.touched().tolist()) == expected


def placed(row):
    return row.split in SPLITS


def as_set(splits):
    return {split for number, split in enumerate(SPLITS) if int(splits) >> number & 1}


def splits_held(frame, row):
    """The splits of all placed images that an image's names lead to, through the names of placed images."""
    names = {row.group} if placed(row) else {row.explicit_group} - {None}
    for _ in range(len(frame)):
        names |= {
            name for other in frame.itertuples() if placed(other) and named(other) & names for name in named(other)
        }
    return {other.split for other in frame.itertuples() if placed(other) and named(other) & names}
