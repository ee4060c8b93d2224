"""Plain columns as squeue prints them: no colour, no boxes, safe for any terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ajrd.text import printable


def columns(header: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """Lines of a table; each cell is made printable, each column as wide as its widest cell."""
    cells = [tuple(header), *(tuple(printable(str(cell)) for cell in row) for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    return [
        "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in cells
    ]
