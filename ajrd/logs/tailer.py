"""Following one path: every line that is written there, once, whatever happens to the file.

The tailer is a synchronous state machine without threads or clock of its own. It holds one
*stream* for each file that the path has led to: the current one, and for a while the one before
it, because a writer goes on writing into a log that was renamed. A truncation begins a new
stream too. Lines that were written and cut away again between two polls cannot be seen.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass, replace

from ajrd.logs.asowner import Files, birth_time
from ajrd.logs.reader import Reader, Rewritten, agrees, count_lines, last_line
from ajrd.logs.start import FileSeen, StartPoint, resume
from ajrd.model import LogFile, ReadPosition

Chooser = Callable[[FileSeen], StartPoint]


@dataclass(frozen=True, slots=True)
class Chunk:
    """A block of one stream; streams are numbered in the order in which they began.

    ``partial``: the block is an unterminated last line. It will be given again, from the same
    offset, when it has grown or is complete. ``lines`` are complete in it.
    """

    block: bytes
    offset: int
    line_no: int
    stream: int
    partial: bool = False
    lines: int = 0


class _Stream:
    """One reader, with what was already shown of its unterminated line."""

    def __init__(self, reader: Reader, number: int, now: float) -> None:
        self.reader = reader
        self.number = number
        self.at_end = False
        self.quiet_since = now
        self.claimed = 0
        self._shown = 0
        self._since: float | None = None

    def next_chunk(self, now: float, patience: float) -> Chunk | None:
        """Raises Rewritten after the last words of what was there before were given."""
        block = self.reader.next_block()
        if block is None:
            self.at_end = True
            return self._standing(now, patience)
        self._forget_line()
        self.quiet_since = now
        lines = self.reader.line_no - block.line_no
        return Chunk(block.data, block.offset, block.line_no, self.number, lines=lines)

    def _forget_line(self) -> None:
        self.claimed = self._shown = 0
        self._since = None

    def _standing(self, now: float, patience: float) -> Chunk | None:
        """The unterminated line, once it has stood for ``patience`` seconds."""
        if len(self.reader.pending) == self._shown:
            return None
        if self._since is None:
            self._since = now
        if now - self._since < patience:
            return None
        self._since = now
        return self.last_words()

    def last_words(self) -> Chunk | None:
        """The unterminated line as it is, unless nothing of it is new."""
        line = self.reader.pending
        if len(line) <= self._shown:
            return None
        self._shown = len(line)
        return Chunk(line, self.reader.offset, self.reader.line_no, self.number, True)

    def begin_anew(self, number: int) -> None:
        """The same file from its first byte."""
        self.reader.restart()
        self._forget_line()
        self.number = number
        self.at_end = False


class FileTailer:
    """Follows ``file.path``. All times are seconds of the caller's monotonic clock.

    ``choose`` says where to begin once the file can be opened. ``partial_after`` is how long an
    unterminated line may stand before it is shown, ``linger`` how long a replaced file must be
    quiet before it is let go. ``reopen``: open the path anew at each end of the file, which is
    what makes an NFS client ask its server (nfs(5), close-to-open consistency).
    """

    def __init__(
        self,
        file: LogFile,
        files: Files,
        choose: Chooser,
        *,
        partial_after: float = 1.0,
        linger: float = 60.0,
        reopen: bool = False,
    ) -> None:
        self.file = file
        self._files = files
        self._choose = choose
        self._partial_after = partial_after
        self._linger = linger
        self.reopen = reopen
        self._streams: list[_Stream] = []
        self._begun = 0
        self._absent = False
        self._carry_on = True
        self.start: StartPoint | None = None
        #: How often the path was truncated or replaced while it was followed.
        self.turns = 0

    def poll(self, now: float, *, final: bool = False) -> Chunk | None:
        """The next chunk, or None if all that stands in the file now has been given.

        ``final``: nothing more is expected, so an unterminated line is given at once and counts
        as read. Raises OSError if the file cannot be read; the next call tries again.
        """
        chunk = self._read_on(now, final)
        if chunk is None and self._look(now):
            chunk = self._read_on(now, final)
        return chunk

    def stay(self) -> None:
        """From here on follow neither truncation nor replacement: that is another attempt's."""
        self._carry_on = False

    def claim(self, chunk: Chunk) -> None:
        """The partial ``chunk`` counts as read: :attr:`position` stands behind it."""
        for stream in self._streams:
            if stream.number == chunk.stream and stream.reader.offset == chunk.offset:
                stream.claimed = len(chunk.block)

    @property
    def waiting(self) -> bool:
        """True while the path has led to no file yet."""
        return not self._streams

    @property
    def position(self) -> ReadPosition | None:
        """How far everything has been given; None before the file was first opened."""
        stream = self._unfinished()
        if stream is None:
            return None
        return stream.reader.position(self.file.path, stream.claimed)

    @property
    def mtime_ns(self) -> int:
        """When the current file had last been written, as of its last end; -1: unknown."""
        return self._streams[-1].reader.mtime_ns if self._streams else -1

    def close(self) -> None:
        """Lets go of all descriptors."""
        for stream in self._streams:
            stream.reader.close()
        self._streams.clear()

    def _unfinished(self) -> _Stream | None:
        """The oldest stream that was not yet read to its end: what a restart must go back to."""
        behind = (stream for stream in self._streams[:-1] if not stream.at_end)
        return next(behind, self._streams[-1] if self._streams else None)

    # reading

    def _read_on(self, now: float, final: bool) -> Chunk | None:
        for stream in list(self._streams):
            chunk = self._read_stream(stream, now, final)
            if chunk is not None:
                return chunk
        self._retire(now)
        return None

    def _read_stream(self, stream: _Stream, now: float, final: bool) -> Chunk | None:
        try:
            chunk = stream.next_chunk(now, 0 if final else self._partial_after)
        except Rewritten:
            return self._truncated(stream, now, final)
        except OSError as error:
            self._broken(stream, error)
            raise
        if final and chunk is not None and chunk.partial:
            stream.claimed = len(chunk.block)
        return chunk

    def _truncated(self, stream: _Stream, now: float, final: bool) -> Chunk | None:
        words = stream.last_words()
        if words is not None:
            return words
        self.turns += 1
        if not self._carry_on:
            self._drop(stream)
            return None
        stream.begin_anew(self._next_number())
        return self._read_stream(stream, now, final)

    def _broken(self, stream: _Stream, error: OSError) -> None:
        """A stale NFS handle never heals: open the path again and go on from the same place."""
        if error.errno != errno.ESTALE:
            return
        where = stream.reader.position(self.file.path, stream.claimed)
        if stream is self._streams[-1]:
            self._choose = lambda seen: resume(seen, where)
        self._drop(stream)

    def _drop(self, stream: _Stream) -> None:
        self._streams.remove(stream)
        stream.reader.close()

    def _retire(self, now: float) -> None:
        """Replaced files that have been quiet for long enough, or that are not the newest."""
        for stream in self._streams[:-1]:
            if now - stream.quiet_since > self._linger or stream is not self._streams[-2]:
                self._drop(stream)

    # looking at the path

    def _look(self, now: float) -> bool:
        """Does the path lead to something new? True if there may be more to read."""
        if not self._carry_on:
            return False
        try:
            seen = self._files.stat(self.file)
            return self._compare(seen, now)
        except FileNotFoundError:
            self._absent = True
            return False

    def _compare(self, seen: os.stat_result, now: float) -> bool:
        current = self._streams[-1].reader if self._streams else None
        same = current is not None and (seen.st_dev, seen.st_ino) == (
            current.device,
            current.inode,
        )
        if same and not self.reopen:
            return False
        descriptor = self._files.open(self.file)
        try:
            return self._take(descriptor, now)
        except BaseException:
            os.close(descriptor)
            raise

    def _take(self, descriptor: int, now: float) -> bool:
        """Puts a fresh descriptor to its use."""
        opened = os.fstat(descriptor)
        current = self._streams[-1] if self._streams else None
        if current is None:
            return self._begin(descriptor, now)
        reader = current.reader
        if (opened.st_dev, opened.st_ino) == (reader.device, reader.inode):
            reader.renew(descriptor)
            return True
        self.turns += 1
        where = reader.position(self.file.path, current.claimed)
        remounted = opened.st_dev != reader.device and agrees(descriptor, where)
        known = (where.offset, where.line_no) if remounted else (0, 0)
        self._add(Reader(descriptor, *known), now)
        return True

    def _begin(self, descriptor: int, now: float) -> bool:
        opened = os.fstat(descriptor)
        seen = FileSeen(
            inode=opened.st_ino,
            size=opened.st_size,
            mtime_ns=opened.st_mtime_ns,
            born=birth_time(descriptor),
            appeared=self._absent,
            agrees=lambda position: agrees(descriptor, position),
            last_line=lambda: last_line(descriptor),
        )
        point = self._choose(seen)
        self.start = point
        if point.lost is not None:
            self._find_rotated(point.lost, now)
        self._add(Reader(descriptor, point.offset, _line_no(descriptor, point)), now)
        return True

    def _find_rotated(self, lost: ReadPosition, now: float) -> None:
        """The file was renamed while nobody followed it: its rest comes first, if it is there."""
        try:
            path = self._files.find_inode(self.file, lost.inode)
            if path is None:
                return
            descriptor = self._files.open(replace(self.file, path=path))
        except OSError:
            return
        if agrees(descriptor, lost):
            self._add(Reader(descriptor, lost.offset, lost.line_no), now)
        else:
            os.close(descriptor)

    def _add(self, reader: Reader, now: float) -> None:
        self._streams.append(_Stream(reader, self._next_number(), now))

    def _next_number(self) -> int:
        self._begun += 1
        return self._begun


def _line_no(descriptor: int, point: StartPoint) -> int:
    start, lines = (point.base.offset, point.base.line_no) if point.base else (0, 0)
    return lines + count_lines(descriptor, start, point.offset)
