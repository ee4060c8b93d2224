"""The fields of a list: what may be asked for, what was, and what stands in a cell."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from ajrd.text import local_time, printable

Row = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Field:
    """One column that may be asked for; ``elastic`` ones are cut on a narrow terminal."""

    name: str
    elastic: bool = False
    header: str = ""

    @property
    def title(self) -> str:
        """What stands above it."""
        return self.header or self.name.upper()


@dataclass(frozen=True, slots=True)
class Shown:
    """A field in a list; ``size`` is the width asked for, ``right`` that it ends there."""

    field: Field
    size: int | None = None
    right: bool = False

    @property
    def elastic(self) -> bool:
        """May it be cut to make a line fit?"""
        return self.field.elastic and self.size is None


def cell(value: object, time: Callable[[datetime], str] = local_time) -> str:
    """A value in one line, harmless in a terminal; ``-`` for nothing."""
    match value:
        case None | "":
            return "-"
        case datetime():
            return time(value)
        case list() | tuple():
            return printable(",".join(map(str, value)))
    return printable(str(value))
