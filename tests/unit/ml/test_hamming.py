from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.hamming import close_pairs, parse_hashes

QUIET = settings(max_examples=60, deadline=None, derandomize=True, database=None)
hashes = st.integers(0, 2**64 - 1)
#: Few bits, so that many of these lie close together and many agree on whole bands.
crowded = st.sets(st.integers(0, 5), max_size=4).map(lambda bits: sum(1 << 11 * bit for bit in bits))


def found(values, wanted, distance):
    left, right = close_pairs(np.array(values, np.uint64), np.array(wanted, bool), distance)
    return sorted(tuple(sorted(pair)) for pair in zip(left.tolist(), right.tolist(), strict=True))


def compared_one_by_one(values, wanted, distance):
    return [
        (one, two)
        for one, two in combinations(range(len(values)), 2)
        if (wanted[one] or wanted[two]) and (values[one] ^ values[two]).bit_count() <= distance
    ]


@QUIET
@given(st.lists(st.one_of(hashes, crowded), unique=True, max_size=40), st.integers(0, 12), st.data())
def test_the_pairs_are_those_that_comparing_each_with_each_finds(values, distance, data):
    wanted = data.draw(st.lists(st.booleans(), min_size=len(values), max_size=len(values)))

    assert found(values, wanted, distance) == compared_one_by_one(values, wanted, distance)


@pytest.mark.parametrize("distance", range(13))
@pytest.mark.parametrize("share", [0.02, 1.0], ids=["few-wanted", "all-wanted"])
def test_no_pair_is_missed_among_many_scattered_hashes(distance, share):
    random = np.random.default_rng(distance)
    values = random.integers(0, 2**64, 600, dtype=np.uint64)
    for _ in range(distance + 2):  # near ones at every distance, and just beyond
        values = np.append(values, values[:100] ^ (np.uint64(1) << random.integers(0, 64, 100).astype(np.uint64)))
    values = np.unique(values)
    wanted = random.random(len(values)) < share

    assert found(values, wanted, distance) == compared_one_by_one(values.tolist(), wanted, distance)


def test_hashes_are_read_as_they_are_written():
    assert parse_hashes(["00000000000000ff", "ffffffffffffffff"]).tolist() == [255, 2**64 - 1]


@pytest.mark.parametrize("texts", [["not a hash"], [""], ["g" * 16], ["00 00 00 00 00 0"] * 8, ["0" * 15, "0" * 17]])
def test_what_is_no_hash_is_refused(texts):
    with pytest.raises(ValueError, match=r"[Hh]exadecimal"):
        parse_hashes(texts)


def test_of_no_images_there_are_no_hashes():
    assert parse_hashes([]).tolist() == []
