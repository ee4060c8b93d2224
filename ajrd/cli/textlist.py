"""A list as text: columns below each other, cut only where a terminal or a width asks for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from ajrd.cli.fields import Row, Shown, cell
from ajrd.cli.paint import painter, room
from ajrd.cli.table import cut, fitted, padded, taken, width
from ajrd.text import local_time, short_time


class TextList:
    """Rows that come at once or bit by bit: the first ones say how wide the columns are."""

    def __init__(self, shown: Sequence[Shown]) -> None:
        self._shown = shown
        self._widths: list[int] = []
        self._time: Callable[[datetime], str] = local_time

    def lines(self, rows: Sequence[Row], *, header: bool) -> list[str]:
        """The lines of further rows; a header stands above the first ones."""
        titles = [[each.field.title for each in self._shown]] if header else []
        if not self._widths:
            self._measure(titles, rows)
        dye = painter()
        body = [self._line(cells, dye) for cells in self._cells(rows)]
        return [self._line(cells, str) for cells in titles] + body

    def _cells(self, rows: Sequence[Row]) -> list[list[str]]:
        return [
            [cell(row.get(each.field.name), self._time) for each in self._shown] for row in rows
        ]

    def _measure(self, titles: list[list[str]], rows: Sequence[Row]) -> None:
        """Where not all fits, times are shortened first, then elastic columns are cut."""
        available = room()
        self._widths = self._needed([*titles, *self._cells(rows)])
        if available is None:
            return
        if taken(self._widths) > available:
            self._time = short_time
            self._widths = self._needed([*titles, *self._cells(rows)])
        free = [i for i, each in enumerate(self._shown) if each.elastic]
        self._widths = fitted(self._widths, free, available)
        if self._shown[-1].elastic:  # what comes later may be longer than what is there
            self._widths[-1] = max(self._widths[-1], available - taken([*self._widths[:-1], 0]))

    def _needed(self, cells: list[list[str]]) -> list[int]:
        return [
            max((width(row[i]) for row in cells), default=0) if each.size is None else each.size
            for i, each in enumerate(self._shown)
        ]

    def _line(self, cells: Sequence[str], dye: Callable[[str], str]) -> str:
        narrow, parts = room() is not None, []
        for text, each, columns in zip(cells, self._shown, self._widths, strict=True):
            cuts = each.size is not None or (narrow and each.elastic)
            kept = cut(text, columns) if cuts else text
            fill = 0 if each is self._shown[-1] and not each.right else columns
            parts.append(dye(padded(kept, max(fill, width(kept)), right=each.right)))
        return "  ".join(parts).rstrip()
