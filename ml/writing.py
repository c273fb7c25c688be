"""How pages and cards write numbers, times and pictures."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ml.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["WRITING", "data_uri", "duration"]


def data_uri(data: bytes) -> str:
    """A PNG or WebP within a page."""
    kind = "webp" if data.startswith(b"RIFF") else "png"
    return f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"


def duration(seconds: float) -> str:
    """Seconds, in the units that people would say it in."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def _difference(value: float) -> str:
    """Signed, with a true minus; what rounds to nothing has no sign."""
    text = f"{value:+.3f}"
    return "0.000" if text.lstrip("+-") == "0.000" else text.replace("-", "\N{MINUS SIGN}")


def _milliseconds(value: float) -> str:
    return f"{value:.0f} ms" if value >= 100 else f"{value:.1f} ms"


def _number(value: int) -> str:
    return f"{value:,}"


def _score(value: float) -> str:
    return f"{value:.3f}"


def _utc(moment: datetime) -> str:
    if moment.tzinfo is None:
        raise DataError(f"The report's time {moment.isoformat()} has no time zone.", "Pass an aware datetime.")
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


#: How pages and cards write numbers and times, by the filter's name.
WRITING: dict[str, Callable[[Any], str]] = {
    "difference": _difference,
    "milliseconds": _milliseconds,
    "number": _number,
    "score": _score,
    "utc": _utc,
}
