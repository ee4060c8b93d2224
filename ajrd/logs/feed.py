"""What passes between reading, detection and whoever keeps the result.

A :class:`Detector` sees the bytes of one file in order, each once; a :class:`LogBatch` is what
came of them together with the read position behind it, so that the sink can commit both in one
transaction and nothing is lost or told twice.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from ajrd.detect.findings import Findings
from ajrd.model import Finding, LogOrigin, Progress, ReadPosition


class Detector(Protocol):
    """Looks for anomalies and progress in one file; keeps a few lines of context between calls."""

    def feed(self, block: bytes, offset: int, line_no: int) -> Findings:
        r"""Judges the next block of the file, at most 1 MiB.

        ``block`` is complete lines ending in ``\n``; ``offset`` is that of its first byte,
        ``line_no`` the number of complete lines before it. Two exceptions: a line over 64 KiB
        comes in pieces, so a block may lack its last ``\n`` and the next begin inside the line;
        and an unterminated last line is given to a detector of its own, with the context lines
        before it.
        """


DetectorFactory = Callable[[], Detector]


@dataclass(frozen=True, slots=True, kw_only=True)
class LogBatch:
    """News of one log file of one attempt; ``source`` is the path as it was given.

    ``progress_at`` is when the progress line was read. ``uncertain`` says that the reading
    began at a place that had to be guessed (see :mod:`ajrd.logs.start`).
    """

    attempt_id: int
    source: str
    found: tuple[Finding, ...]
    progress: Progress | None
    progress_at: datetime | None
    position: ReadPosition | None
    uncertain: bool = False


#: Raises StoreUnavailable when the batch was not kept: it is offered again, with what came since.
Sink = Callable[[LogBatch], Awaitable[None]]
#: Told once of each finding and sign of progress, before the sink is asked to keep them.
Heard = Callable[[LogBatch], None]


def unheard(_batch: LogBatch) -> None:
    """For those who wait until it is kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceStatus:
    """How the reading of one file stands; ``error`` "" means that it can be read.

    ``waiting``: the file does not exist yet. ``start`` tells where the reading began, and why.
    """

    path: str
    origin: LogOrigin
    offset: int
    lines: int
    read_at: datetime | None
    error: str
    waiting: bool
    uncertain: bool
    start: str
