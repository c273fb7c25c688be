"""Tables for people who open them in a spreadsheet."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["spreadsheet"]

#: What a spreadsheet takes for the beginning of a formula, also in the wide forms of East Asian keyboards (OWASP, CSV
#: Injection).
FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def spreadsheet(header: Sequence[str], rows: Iterable[Sequence[str]]) -> bytes:
    """A comma-separated table in UTF-8, with the mark at its beginning by which Excel knows that.

    A text that a spreadsheet would compute gets an apostrophe in front, after which it is text.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(header)
    writer.writerows([_plain(cell) for cell in row] for row in rows)
    return text.getvalue().encode("utf-8-sig")


def _plain(cell: str) -> str:
    # Spreadsheets ignore blanks, tabs and line ends before a formula.
    return f"'{cell}" if cell.lstrip().startswith(FORMULA) else cell
