"""Limits and findings in words, for reports and messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ml.manifest import MANIFEST

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from ml.expectations import Check

__all__ = ["bounds", "number", "observe", "short_id"]

EXAMPLES = 3


def bounds(low: float | None, high: float | None, is_share: bool = False) -> str:
    """Two limits in words."""
    if low is not None and high is not None:
        return f"from {number(low, is_share)} to {number(high, is_share)}"
    return f"at least {number(low, is_share)}" if low is not None else f"at most {number(high or 0, is_share)}"


def number(value: float, is_share: bool = False) -> str:
    """A number for people: a share in per cent, and no more digits than say something."""
    if is_share:
        return f"{value * 100:.3g} %"
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.1f}" if abs(value) >= 10 else f"{value:.3g}"


def short_id(value: str) -> str:
    """A digest by its first digits; anything else as it is."""
    return f"{value[:12]}…" if len(value) == 64 else value


def observe(check: Check, result: Mapping[str, Any], frame: pd.DataFrame) -> str:
    """What Great Expectations found, in words.

    Args:
        check: what was looked at.
        result: the expectation's ``result``.
        frame: the check's table.
    """
    if check.measure is not None and check.measure.value is not None:
        return f"{number(check.measure.value, check.measure.is_share)}, {check.measure.note}"
    if check.table == "columns":
        return _columns(list(frame.columns))
    if "observed_value" in result:
        values = sorted(map(str, frame[check.column].dropna().unique()))
        return f"{result['observed_value']}: {', '.join(values[:5])}"
    outside, total = result.get("unexpected_count") or 0, result.get("element_count") or 0
    if not outside:
        return _all(check, frame, total)
    examples = "; ".join(_example(check, row) for _, row in result["unexpected_rows"].head(EXAMPLES).iterrows())
    share = f" ({number(outside / total, is_share=True)})" if check.about == "images" else ""
    return f"{outside:,} of {total:,} outside{share}: {examples}" + ("; …" if outside > EXAMPLES else "")


def _columns(found: list[str]) -> str:
    known = MANIFEST.columns.names
    odd = {"missing": set(known) - set(found), "unknown": set(found) - set(known)}
    parts = [f"{kind}: {', '.join(sorted(names))}" for kind, names in odd.items() if names]
    return "; ".join(parts) or f"these {len(found)}"


def _all(check: Check, frame: pd.DataFrame, total: int) -> str:
    column = frame[check.column]
    if column.dtype.kind not in "iuf" or check.method == "each image":
        return f"all {total:,} images"
    is_share = check.column == "share"
    low, high = (number(value, is_share) for value in (column.min(), column.max()))
    return f"{low} everywhere" if low == high else f"from {low} to {high}"


def _example(check: Check, row: pd.Series) -> str:
    name, value = short_id(str(row[check.index or ""])), row[check.column or ""]
    if check.column == check.index:
        return name
    if value is None or value != value:  # NaN is the one value that is not itself
        return f"{name} has none"
    shown = number(value, check.column == "share") if isinstance(value, int | float) else short_id(str(value))
    return f"{name} has {shown}"
