"""Patients and groups under names of our own, so that no table, log or report holds theirs."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ml import layout
from ml.errors import NotFoundError
from ml.storage import put_once

if TYPE_CHECKING:
    from ml.storage import Store

__all__ = ["Pseudonyms"]

DIGITS = 16


@dataclass(frozen=True)
class Pseudonyms:
    """Gives equal names equal pseudonyms: the beginning of their HMAC-SHA-256 (RFC 2104) under the store's own key.

    Whoever may read the key can test a guess, so it wants the protection that the images have.
    """

    key: bytes = field(repr=False)

    @classmethod
    def of(cls, store: Store) -> Pseudonyms:
        """Read the store's key; the first call makes it."""
        try:
            return cls(store.get(layout.PSEUDONYM_KEY))
        except NotFoundError:
            put_once(store, layout.PSEUDONYM_KEY, secrets.token_bytes(32))
        return cls(store.get(layout.PSEUDONYM_KEY))  # not what was drawn: another process may have been faster

    def name(self, group: str) -> str:
        """The pseudonym of a group: ``g-`` and 16 hexadecimal digits."""
        return f"g-{hmac.new(self.key, group.encode(), hashlib.sha256).hexdigest()[:DIGITS]}"
