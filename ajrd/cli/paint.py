"""Colours, for people at a terminal alone: never in a pipe, never where NO_COLOR is set."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator

from ajrd.cli.table import width

_RED, _GREEN, _YELLOW, _DIM = "31", "32", "33", "2"
#: By the first word of a cell.
_SHADES = {
    **dict.fromkeys(("RUNNING", "COMPLETED", "converged", "done"), _GREEN),
    **dict.fromkeys(
        (
            "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY", "DEADLINE",
            "BOOT_FAIL", "abandoned", "refused", "stop",
        ),
        _RED,
    ),
    **dict.fromkeys(
        ("PENDING", "SUSPENDED", "REQUEUED", "PREEMPTED", "open", "paused", "observed"), _YELLOW
    ),
    **dict.fromkeys(("-", "gone", "UNKNOWN", "benign", "teardown"), _DIM),
}  # fmt: skip


def painter() -> Callable[[str], str]:
    """What colours a cell by its word; leaves it alone where colours are not wanted."""
    return _shade if coloured() else str


def coloured() -> bool:
    """Is standard output a terminal that takes colours, and nobody against it (no-color.org)?"""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM", "dumb") == "dumb"
    return not plain and sys.stdout.isatty()


def room() -> int | None:
    """The columns of the terminal; None where standard output is none: nothing is cut there."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def for_terminal(lines: Iterable[str]) -> Iterator[str]:
    """A text with its headings bold and long lines broken, as far as a terminal wants that."""
    columns, bold = room(), coloured()
    for line in lines:
        title = bold and line[:1].isupper()
        for part in _broken(line, columns) if columns else [line]:
            yield f"\x1b[1m{part}\x1b[0m" if title else part


def _broken(line: str, columns: int) -> list[str]:
    """The parts of a line that is too long, the later ones two columns further in."""
    if width(line) <= columns or "\x1b" in line:  # a painted one is the row of a table
        return [line]
    import textwrap

    inset = min(len(line) - len(line.lstrip()) + 2, columns // 2)
    return textwrap.wrap(line, max(columns, 20), subsequent_indent=" " * inset)


def _shade(cell: str) -> str:
    word = cell.strip().split(" ")[0].rstrip(":")
    code = _SHADES.get(word)
    return f"\x1b[{code}m{cell}\x1b[0m" if code else cell
