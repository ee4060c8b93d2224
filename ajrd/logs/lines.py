"""Cutting bytes into blocks of whole lines. Pure.

The cuts depend on the bytes alone and not on when they were read, so a file that is read again
from any earlier cut gives the same blocks, and the same line keeps the same offset.
"""

from __future__ import annotations

#: The longest line, in bytes without its newline; longer ones are cut into pieces.
LINE_CAP = 64 * 1024
#: The longest block, bytes.
BLOCK_CAP = 1024 * 1024


def block_end(data: bytes) -> int:
    """How many bytes at the head of ``data`` (from the start of a line) may be handed on.

    They end behind a newline, or behind a piece of a line that is longer than ``LINE_CAP``.
    0: an unterminated line that may yet become complete.
    """
    end = 0
    while (newline := data.rfind(b"\n", end, end + LINE_CAP + 1)) >= 0:
        end = newline + 1
    if end or len(data) <= LINE_CAP:
        return end
    return _piece_end(data)


def _piece_end(data: bytes) -> int:
    """A progress bar's last carriage return is a better place to cut than inside a message."""
    return data.rfind(b"\r", 0, LINE_CAP) + 1 or LINE_CAP


def last_lines(block: bytes, count: int, limit: int) -> bytes:
    """The last ``count`` complete lines of a block, as many as fit into ``limit`` bytes."""
    if not block.endswith(b"\n"):
        return b""
    start = len(block)
    for _ in range(count):
        before = block.rfind(b"\n", 0, start - 1) + 1 if start else 0
        if len(block) - before > limit:
            break
        start = before
    return block[start:]
