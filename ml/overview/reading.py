"""Reading for a page that must stand whatever is missing or damaged: what cannot be read is said in words."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from ml.errors import NotFoundError, QuartetError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["Attempt", "attempt", "join_problems"]

log = logging.getLogger(__name__)

T = TypeVar("T")

#: What a document of another shape than expected raises, and a disk that fails.
DAMAGE = (LookupError, TypeError, ValueError, AttributeError, OSError)
#: Problems that are named one by one.
NAMED = 3


class Attempt(NamedTuple):
    """What was read, or None and why not."""

    value: Any
    problem: str = ""


def attempt(what: str, read: Callable[[], T]) -> Attempt:
    """Read something; an error becomes a sentence, and is logged.

    Args:
        what: is read, at the beginning of a sentence.
        read: does it.
    """
    try:
        return Attempt(read())
    except NotFoundError as error:
        why = f"{error.message} It was removed, or never written."
    except QuartetError as error:
        why = str(error)
    except DAMAGE as error:
        log.warning("%s cannot be read", what, exc_info=True)
        why = f"it is damaged ({type(error).__name__}: {error})."
    problem = f"{what} cannot be read: {why}"
    log.warning("%s", problem)
    return Attempt(None, problem)


def join_problems(problems: Iterable[str]) -> str:
    """Several in one text: each once, the first three by name."""
    told = list(dict.fromkeys(filter(None, problems)))
    more = len(told) - NAMED
    return " ".join([*told[:NAMED], *([f"And {more} more."] if more > 0 else [])])
