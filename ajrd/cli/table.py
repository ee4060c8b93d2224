"""Plain columns as squeue prints them: no boxes, safe for any terminal, aligned in any script."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Collection, Iterable, Sequence

from ajrd.text import printable

#: No column becomes narrower than this, however narrow the terminal is.
NARROW = 6
_GAP = "  "


def columns(
    header: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    room: int | None = None,
    elastic: Collection[str] = (),
    paint: Callable[[str], str] = str,
) -> list[str]:
    """Lines of a table; each cell is made printable, each column as wide as its widest cell.

    With ``room``, the columns of a terminal, the ``elastic`` ones are cut to make it fit. ``paint``
    colours a padded cell below the header.
    """
    cells = [tuple(header), *(tuple(printable(str(cell)) for cell in row) for row in rows)]
    widths = [max(width(row[i]) for row in cells) for i in range(len(header))]
    if room is not None:
        widths = fitted(widths, [i for i, name in enumerate(header) if name in elastic], room)
    first, *others = ([padded(c, w) for c, w in zip(row, widths, strict=True)] for row in cells)
    lines = [first, *([paint(cell) for cell in row] for row in others)]
    return [_GAP.join(line).rstrip() for line in lines]


def width(text: str) -> int:
    """The columns that a text takes on a terminal: wide characters two, combining ones none."""
    if text.isascii():
        return len(text)
    return sum(_columns_of(character) for character in text)


def _columns_of(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def padded(text: str, columns: int, *, right: bool = False) -> str:
    """The text in exactly so many columns: cut with an ellipsis, or filled with spaces."""
    text = cut(text, columns)
    fill = " " * (columns - width(text))
    return fill + text if right else text + fill


def cut(text: str, columns: int) -> str:
    """As much of a text as fits; what is missing shows as an ellipsis."""
    if width(text) <= columns:
        return text
    kept, taken = [], 1
    for character in text:
        taken += _columns_of(character)
        if taken > columns:
            break
        kept.append(character)
    return "".join(kept) + "…" if columns > 0 else ""


def taken(widths: Sequence[int]) -> int:
    """The columns of a line whose cells are so wide."""
    return sum(widths) + len(_GAP) * (len(widths) - 1)


def fitted(widths: Sequence[int], elastic: Sequence[int], room: int) -> list[int]:
    """Widths of which the elastic ones are taken back, the widest first, until all fit."""
    narrowed = list(widths)
    over = taken(widths) - room
    while over > 0:
        widest = max(elastic, key=lambda i: narrowed[i], default=None)
        if widest is None or narrowed[widest] <= NARROW:
            break
        narrowed[widest] -= 1
        over -= 1
    return narrowed
