"""The errors Quartet raises on purpose.

Each names the offending value and the remedy; the command line prints both and exits with status 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "AlreadyExistsError",
    "ConfigError",
    "ConflictError",
    "CorruptShardError",
    "DataError",
    "FingerprintError",
    "InvalidKeyError",
    "NotFoundError",
    "OvertakenError",
    "QuartetError",
    "ServingError",
    "StoreError",
    "ValidationFailedError",
    "WeightsError",
]


class QuartetError(Exception):
    """Something a person can mend.

    Args:
        message: what is wrong, naming the value.
        remedy: what to do about it.
        facts: the numbers behind the message, by name, for an alert.
        links: pages that show more, by name.
    """

    def __init__(
        self,
        message: str,
        remedy: str = "",
        *,
        facts: Mapping[str, str] | None = None,
        links: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.facts = dict(facts or {})
        self.links = dict(links or {})

    def __str__(self) -> str:
        return f"{self.message} Remedy: {self.remedy}" if self.remedy else self.message


class ConfigError(QuartetError):
    """A setting is missing, unknown or out of range."""


class StoreError(QuartetError):
    """The object store refused or did not answer."""


class NotFoundError(StoreError):
    """There is no object at the key."""


class AlreadyExistsError(StoreError):
    """A write that must create found an object at the key."""


class ConflictError(StoreError):
    """A compare-and-swap found that the object had changed."""


class InvalidKeyError(StoreError):
    """A key that the store cannot represent."""


class DataError(QuartetError):
    """The images, their labels or their number do not allow the step."""


class CorruptShardError(DataError):
    """Cached feature maps are not the bytes that were written."""


class FingerprintError(DataError):
    """Feature maps that a head was trained on cannot be made any more."""


class OvertakenError(DataError):
    """Another snapshot was published since this one was begun."""


class ValidationFailedError(DataError):
    """A critical expectation on a snapshot was not met."""


class WeightsError(QuartetError):
    """Pretrained weights cannot be had, or are not what they should be."""


class ServingError(QuartetError):
    """The model server did not answer, or answered with an error."""
