"""Reading one open file forward, and noticing when it is no longer the file that was read.

With every piece of news the file's first 256 bytes and the 256 before the offset are read again,
so a file that was truncated and has grown past the offset is recognised whenever it is looked
at: logs that end alike mostly begin with another time.
"""

from __future__ import annotations

import errno
import hashlib
import os
from dataclasses import dataclass

from ajrd.logs.lines import BLOCK_CAP, LINE_CAP, block_end
from ajrd.model import ReadPosition

#: Bytes at the start of a file, and before an offset, by which it is known again.
KNOWN = 256


@dataclass(frozen=True, slots=True)
class Block:
    """Whole lines (see :func:`~ajrd.logs.lines.block_end`) and where they stand."""

    data: bytes
    offset: int
    line_no: int


class Rewritten(Exception):
    """What was read is no longer in the file: it was truncated or written anew."""


class Reader:
    """One descriptor, which it owns. ``pending`` is the unterminated line at ``offset``."""

    def __init__(self, descriptor: int, offset: int = 0, line_no: int = 0) -> None:
        seen = os.fstat(descriptor)
        self.device, self.inode = seen.st_dev, seen.st_ino
        self._descriptor = descriptor
        self.pending = b""
        self._move_to(offset, line_no)

    def _move_to(self, offset: int, line_no: int) -> None:
        self.offset, self.line_no = offset, line_no
        self._head = first_bytes(self._descriptor, offset)
        self._tail = bytes_before(self._descriptor, offset)
        self._seen = (-1, -1)

    @property
    def mtime_ns(self) -> int:
        """The modification time when the end of the file was last reached."""
        return self._seen[1]

    def next_block(self) -> Block | None:
        """The next whole lines, or None at the end of the file. Raises :class:`Rewritten`.

        An empty block means that a hole was skipped and that there may be more.
        """
        now = os.fstat(self._descriptor)
        seen = (now.st_size, now.st_mtime_ns)
        if seen == self._seen:
            return None
        data = self._read()
        end = block_end(data)
        if end and self._skip_hole(data):
            return Block(b"", self.offset, self.line_no)
        if not end:
            self.pending, self._seen = data, seen
            return None
        block = Block(data[:end], self.offset, self.line_no)
        self._pass(block.data)
        return block

    def _read(self) -> bytes:
        """What stands at the offset, and again what stands before it if there is anything."""
        data = os.pread(self._descriptor, BLOCK_CAP, self.offset)
        standing = (
            data.startswith(self.pending)
            and bytes_before(self._descriptor, self.offset) == self._tail
            and first_bytes(self._descriptor, len(self._head)) == self._head
        )
        if not standing:
            raise Rewritten
        return data

    def _pass(self, data: bytes) -> None:
        self._head, self._tail = self._ends_with(data)
        self.offset += len(data)
        self.line_no += data.count(b"\n")
        self.pending = b""

    def _ends_with(self, data: bytes) -> tuple[bytes, bytes]:
        """Head and tail once ``data`` has been read."""
        head = self._head + data[: KNOWN - len(self._head)]
        return head, (self._tail + data[-KNOWN:])[-KNOWN:]

    def _skip_hole(self, data: bytes) -> bool:
        """Nobody wrote a hole, and a sparse file may be exabytes long: go to its next data."""
        if len(data) < LINE_CAP or data[0] != 0 or data.count(0) != len(data):
            return False
        beyond = _next_data(self._descriptor, self.offset)
        if beyond <= self.offset + len(data):
            return False
        self.pending = b""
        self._move_to(beyond, self.line_no)
        return True

    def restart(self) -> None:
        """From the first byte again."""
        self.pending = b""
        self._move_to(0, 0)

    def renew(self, descriptor: int) -> None:
        """Goes on with a fresh descriptor of the same file: NFS checks for news at open(2)."""
        os.close(self._descriptor)
        self._descriptor = descriptor

    def position(self, path: str, claimed: int = 0) -> ReadPosition:
        """Where the reading stands; ``claimed`` bytes of the pending line count as read."""
        where = self.offset + claimed
        known = digest(*self._ends_with(self.pending[:claimed]))
        return ReadPosition(path, self.device, self.inode, where, self.line_no, known)

    def close(self) -> None:
        """Lets go of the descriptor."""
        os.close(self._descriptor)


def digest(head: bytes, tail: bytes) -> str:
    """32 hex digits for the first bytes of a file and those before an offset."""
    return hashlib.blake2b(head + tail, digest_size=16).hexdigest()


def first_bytes(descriptor: int, offset: int) -> bytes:
    """Up to 256 bytes at the start of a file, none of them behind ``offset``."""
    return os.pread(descriptor, min(KNOWN, offset), 0)


def bytes_before(descriptor: int, offset: int) -> bytes:
    """Up to 256 bytes right before ``offset``."""
    start = max(0, offset - KNOWN)
    return os.pread(descriptor, offset - start, start)


def agrees(descriptor: int, known: ReadPosition) -> bool:
    """Is this still the file that was read up to ``known``?

    The device is not asked: numbers of network file systems change at a remount, and differ
    between head nodes. An inode with the same bytes in the same places is the same file.
    """
    seen = os.fstat(descriptor)
    if seen.st_ino != known.inode or seen.st_size < known.offset:
        return False
    head, tail = first_bytes(descriptor, known.offset), bytes_before(descriptor, known.offset)
    return digest(head, tail) == known.tail


def last_line(descriptor: int) -> int:
    """Where the last line of a file begins, complete or not, or what has overwritten it last.

    The end of the file if that is too long.
    """
    size = os.fstat(descriptor).st_size
    start = max(size - LINE_CAP, 0)
    data = os.pread(descriptor, size - start, start).rstrip(b"\r\n")
    end_before = max(data.rfind(b"\n"), data.rfind(b"\r"))
    return size if end_before < 0 < start else start + end_before + 1


def count_lines(descriptor: int, start: int, end: int, limit: int = 1 << 30) -> int:
    """Newlines between two offsets; beyond ``limit`` bytes nobody waits for the number."""
    lines = 0
    end = min(end, start + limit)
    while start < end:
        data = os.pread(descriptor, min(BLOCK_CAP, end - start), start)
        if not data:
            break
        lines += data.count(b"\n")
        start += len(data)
    return lines


def _next_data(descriptor: int, offset: int) -> int:
    """lseek(2) SEEK_DATA; the end of the file if only a hole is left."""
    try:
        return os.lseek(descriptor, offset, os.SEEK_DATA)
    except OSError as error:
        if error.errno != errno.ENXIO:
            return offset
        return os.fstat(descriptor).st_size
