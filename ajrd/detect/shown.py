"""What of a line is shown to people: a readable stretch of it, with nothing that acts.

Log text comes from strangers. Terminal sequences are taken out, every other control character and
invalid byte is made visible, and of a long line only the surroundings of the match are kept.
"""

from __future__ import annotations

import re

from ajrd.text import printable

#: Bytes shown of a line with a match, and of a line beside it.
SHOWN, BESIDE = 2048, 512
_LEAD = 512
#: CSI sequences (colours, cursor) and OSC sequences (titles, links), ECMA-48.
_TERMINAL = re.compile(rb"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]{0,512}(?:\x07|\x1b\\)")


def stretch(piece: bytes, match: int, limit: int = SHOWN) -> str:
    """The text of a piece of a line, at most ``limit`` bytes of it around offset ``match``."""
    if len(piece) <= limit:
        return clean(piece)
    start = max(0, min(match - _LEAD, len(piece) - limit))
    head = "…" if start else ""
    tail = "…" if start + limit < len(piece) else ""
    return f"{head}{clean(piece[start : start + limit])}{tail}"


def beside(line: bytes) -> str:
    """A neighbouring line: what was visible last of an overwritten one, shortened."""
    last = line.rstrip(b"\r").rpartition(b"\r")[2]
    return clean(last[:BESIDE]) + ("…" if len(last) > BESIDE else "")


def clean(raw: bytes) -> str:
    """One line of printable text; tabs become spaces, the end is trimmed."""
    text = _TERMINAL.sub(b"", raw).replace(b"\t", b"    ").decode("utf-8", "replace")
    return printable(text.rstrip())
