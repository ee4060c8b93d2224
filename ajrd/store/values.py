"""Text and numbers of strangers in a form that every database takes, and back.

Users choose names, comments, paths and what stands in logs. A value that a column cannot hold
would make its transaction fail again and again, so it is made to fit before it is written: the
column types of :mod:`ajrd.store.schema` do that, :mod:`ajrd.store.rows` undoes what can be undone.
"""

from __future__ import annotations

import re
from typing import Any

#: Characters of a text without a length of its own: a line of 64 KiB, every byte of it escaped.
TEXT_LIMIT = 1 << 18
#: What stands for a byte that is no UTF-8: private characters, from 0x80 to 0xFF.
_BYTES = 0xEF00
_RAW, _KEPT = re.compile("[\udc80-\udcff\uef80-\uefff]"), re.compile("[\uef80-\uefff]")
_SIGN, _RANGE = 1 << 63, 1 << 64


def storable(text: str, limit: int = TEXT_LIMIT) -> str:
    """``text`` in at most ``limit`` characters; what has no encoding is written as an escape."""
    return text[:limit].encode("utf-8", "backslashreplace").decode("utf-8")[:limit]


def storable_path(path: str) -> str:
    """A path as text; :func:`path_again` gives it back whatever its bytes are."""
    return storable(_RAW.sub(_kept, path))


def _kept(match: re.Match[str]) -> str:
    return "".join(chr(_BYTES + byte) for byte in match[0].encode("utf-8", "surrogateescape"))


def path_again(text: str) -> str:
    """The path that :func:`storable_path` was given."""
    raw = _KEPT.sub(lambda match: chr(ord(match[0]) - _BYTES + 0xDC00), text)
    return raw.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")


def storable_json(value: Any) -> Any:
    """Lists, mappings and texts with every text made storable."""
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, dict):
        return {storable(key): storable_json(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [storable_json(each) for each in value]
    return value


def signed(number: int) -> int:
    """A number below 2^64 in the 64 bits with a sign that databases have."""
    return (number + _SIGN) % _RANGE - _SIGN


def unsigned(number: int) -> int:
    """The number that :func:`signed` was given."""
    return number % _RANGE


def bounded(number: int) -> int:
    """The nearest number that a column of 64 bits holds: logs may claim any."""
    return max(-_SIGN, min(number, _SIGN - 1))
