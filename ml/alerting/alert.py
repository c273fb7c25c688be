"""An alert, before any channel's form."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["MAX_FACTS", "MAX_TEXT", "MAX_VALUE", "Alert", "Fact", "Link", "Severity", "cut", "one_line"]

Severity = Literal["critical", "warning", "info"]

MAX_FACTS = 20
MAX_LINKS = 5
MAX_NAME = 120
MAX_VALUE = 400
MAX_TITLE = 140
MAX_TEXT = 2000

#: What a terminal or a mail header would take for more than text: control characters, and marks that turn text round.
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]|[\ud800-\udfff]")


class Fact(NamedTuple):
    """A name and its value, mostly a number."""

    name: str
    value: str


class Link(NamedTuple):
    """A page that shows more; not every address can be clicked, a path or s3:// can not."""

    name: str
    address: str

    @property
    def is_web(self) -> bool:
        """Whether a mail or Slack can make it clickable."""
        return self.address.startswith(("https://", "http://"))


@dataclass(frozen=True)
class Alert:
    """What happened.

    Texts are cleaned when it is made: control characters are replaced, and what is too long is cut, with the count of
    what is missing.

    Args:
        severity: critical (a run failed), warning (it went on) or info.
        title: one line.
        message: what failed, in a sentence or two.
        at: when, with a time zone.
        facts: in the order of their weight.
        links: pages that show more.
        remedy: what to do next.
        cause: what kind of alert it is, of which DAG and task, and what failed there, without what differs from run to
            run. Alerts of one severity and cause are folded into one; an alert without a cause is always sent.
    """

    severity: Severity
    title: str
    message: str
    at: datetime
    facts: tuple[Fact, ...] = ()
    links: tuple[Link, ...] = ()
    remedy: str = ""
    cause: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        facts = [Fact(cut(one_line(name), MAX_NAME), cut(one_line(value), MAX_VALUE)) for name, value in self.facts]
        if len(facts) > MAX_FACTS:
            facts = [*facts[: MAX_FACTS - 1], Fact("not shown", f"{len(facts) - MAX_FACTS + 1} more facts")]
        cleaned = {
            "title": cut(one_line(self.title), MAX_TITLE),
            "message": cut(_printable(self.message), MAX_TEXT),
            "remedy": cut(_printable(self.remedy), MAX_TEXT),
            "facts": tuple(facts),
            "links": tuple(Link(one_line(name), one_line(address)) for name, address in self.links[:MAX_LINKS]),
        }
        for name, value in cleaned.items():
            object.__setattr__(self, name, value)


def cut(text: str, limit: int) -> str:
    """The text, or its beginning with the count of the characters that are missing; never longer than the limit."""
    if len(text) <= limit:
        return text
    note = f" … ({len(text)} characters)"
    return text[: limit - len(note)] + note


def one_line(text: str) -> str:
    """The text with every run of white space, line breaks included, as one space."""
    return " ".join(_printable(text).split())


def _printable(text: str) -> str:
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text.replace("\r\n", "\n").replace("\t", " "))
