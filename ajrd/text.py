"""Text from strangers made fit for a terminal, and times and durations for people."""

from __future__ import annotations

import re
from datetime import datetime

#: Control characters, and the invisible ones that reorder a line (Unicode TR 36, bidi).
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")


def printable(text: str) -> str:
    r"""``text`` in one line, with every control character shown as ``\xNN`` or ``\uNNNN``."""
    return _UNPRINTABLE.sub(_escape, text.encode("utf-8", "replace").decode("utf-8"))


def _escape(match: re.Match[str]) -> str:
    code = ord(match.group())
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"


def local_time(when: datetime | None) -> str:
    """A time in the reader's own zone, as squeue prints it; ``-`` for none."""
    return when.astimezone().strftime("%Y-%m-%dT%H:%M:%S") if when else "-"


def short_time(when: datetime | None) -> str:
    """A time in the reader's own zone where there is little room: no year, no seconds."""
    return when.astimezone().strftime("%m-%dT%H:%M") if when else "-"


def elapsed(seconds: float) -> str:
    """A duration as squeue prints it: ``[days-]hours:minutes:seconds``."""
    whole = int(max(seconds, 0))
    days, rest = divmod(whole, 86400)
    clock = f"{rest // 3600:02d}:{rest // 60 % 60:02d}:{rest % 60:02d}"
    return f"{days}-{clock}" if days else clock
