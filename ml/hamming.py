"""Which 64-bit hashes lie close together, without comparing each with each."""

from __future__ import annotations

from binascii import unhexlify
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    Hashes = NDArray[np.uint64]
    Positions = NDArray[np.int32]

__all__ = ["close_pairs", "parse_hashes"]

BITS = 64


def parse_hashes(texts: Sequence[str]) -> Hashes:
    """Read hashes of 16 hexadecimal digits.

    Raises:
        ValueError: one of them is not hexadecimal, or of another length.
    """
    lengths = set(map(len, texts))
    if not lengths <= {BITS // 4}:
        raise ValueError(f"a hash has {BITS // 4} hexadecimal digits, these have {sorted(lengths)}")
    return np.frombuffer(unhexlify("".join(texts)), dtype=">u8").astype(np.uint64)


def close_pairs(hashes: Hashes, wanted: NDArray[np.bool_], distance: int) -> tuple[Positions, Positions]:
    """Find every pair of hashes that differ in at most ``distance`` bits, of which at least one is wanted.

    The bits are dealt out to ``distance + 1`` bands. Two hashes that differ in fewer bits than there are bands agree
    on at least one whole band (the pigeonhole principle), so only hashes that share a band's value are compared.

    Args:
        hashes: different from one another.
        wanted: one a hash; two hashes that are both unwanted are not compared.
        distance: 0 to 63.

    Returns:
        The positions of the two hashes of each pair. Every pair comes once, in either order.
    """
    masks = _masks(distance + 1)
    bands = [_Band(hashes, wanted, mask) for mask in masks]
    everything = _Band(hashes, wanted, np.uint64(0))
    if sum(band.candidates for band in bands) >= everything.candidates:  # the hashes crowd together: look once
        masks, bands = [], [everything]
    found = [(np.zeros(0, np.int32), np.zeros(0, np.int32))]
    for number, band in enumerate(bands):
        for left, right in band.pairs(distance):
            differing = hashes[left] ^ hashes[right]
            new = np.ones(len(left), dtype=bool)
            for mask in masks[:number]:
                new &= (differing & mask) != 0
            found.append((left[new], right[new]))
    return np.concatenate([left for left, _ in found]), np.concatenate([right for _, right in found])


def _masks(bands: int) -> list[np.uint64]:
    """Every n-th bit to the same band: neighbouring bits of a perceptual hash say much the same."""
    return [np.uint64(sum(1 << bit for bit in range(first, BITS, bands))) for first in range(bands)]


class _Band:
    """The hashes sorted by some of their bits, the wanted ones first among those that agree."""

    def __init__(self, hashes: Hashes, wanted: NDArray[np.bool_], mask: np.uint64) -> None:
        order = np.lexsort((~wanted, hashes & mask)).astype(np.int32)
        self._order, self._sorted = order, hashes[order]
        keys = self._sorted & mask
        self._first = np.flatnonzero(wanted[order]).astype(np.int32)
        ends = np.searchsorted(keys, keys[self._first], side="right")
        #: how many hashes with the same value come after each wanted one
        self._following = (ends - self._first - 1).astype(np.int32)

    @property
    def candidates(self) -> int:
        return int(self._following.sum(dtype=np.int64))

    def pairs(self, distance: int) -> Iterator[tuple[Positions, Positions]]:
        """Compare every wanted hash with the first, second, third that follows it, as far as the value is the same."""
        longest_first = np.argsort(-self._following, kind="stable")
        first, following = self._first[longest_first], self._following[longest_first]
        values = self._sorted[first]
        reach = np.searchsorted(-following, -np.arange(1, following.max(initial=0) + 1), side="right")
        for step, count in enumerate(reach, start=1):
            left = first[:count]
            close = np.bitwise_count(values[:count] ^ self._sorted[left + step]) <= distance
            if close.any():
                yield self._order[left[close]], self._order[left[close] + step]
