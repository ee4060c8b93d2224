"""Rows for a spreadsheet. Names are text that users choose: none may become a formula."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence

from ajrd.text import printable

#: What a spreadsheet takes for the beginning of a formula, in ASCII and in full width (OWASP, CSV
#: injection).
_FORMULA = re.compile(r"\s*[=+\-@\uff1d\uff0b\uff0d\uff20]")
_NUMBER = re.compile(r"-?\d+(\.\d+)?")


def csv_text(rows: Iterable[Sequence[object]]) -> str:
    """RFC 4180; None is an empty field, numbers stay numbers, other text stays text."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerows([_field(value) for value in row] for row in rows)
    return out.getvalue()


def _field(value: object) -> object:
    """A text that might be taken for a formula gets an apostrophe before it."""
    if value is None or isinstance(value, int | float):
        return value
    text = printable(str(value))
    formula = _FORMULA.match(text) and not _NUMBER.fullmatch(text)
    return f"'{text}" if formula else text
