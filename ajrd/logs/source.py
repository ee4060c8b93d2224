"""One file of one attempt: its tailer and its detectors. Used by one thread at a time.

A complete line is shown to the stream's own detector, once and in order. An unterminated line is
shown to a fresh detector together with the lines before it, and what was found in it is
remembered, so that nothing is told twice when the line grows.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ajrd.detect.findings import Findings
from ajrd.logs.feed import Detector, DetectorFactory
from ajrd.logs.lines import LINE_CAP, last_lines
from ajrd.logs.tailer import Chunk, FileTailer
from ajrd.model import Finding, Progress, ReadPosition

#: Bytes read from one file before others have their turn.
TURN = 4 * 1024 * 1024
#: Findings of one turn after which they are handed on.
MANY = 256
_CONTEXT_LINES, _CONTEXT_BYTES = 3, 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one turn brought. ``more``: the end of the file was not reached.

    ``bytes`` and ``lines`` are those of the complete lines that it read.
    """

    found: tuple[Finding, ...] = ()
    progress: Progress | None = None
    position: ReadPosition | None = None
    grew: bool = False
    more: bool = False
    error: str = ""
    bytes: int = 0
    lines: int = 0


@dataclass(slots=True)
class _Ear:
    """The detector of one stream and what is remembered for its unterminated line."""

    detector: Detector
    context: bytes = b""
    context_ends: int = -1
    told: set[tuple[str, int]] = field(default_factory=set)


class Source:
    """Reads on, a bounded amount in each turn."""

    def __init__(self, tailer: FileTailer, make_detector: DetectorFactory) -> None:
        self.tailer = tailer
        self._make_detector = make_detector
        self._ears: dict[int, _Ear] = {}
        self._found: list[Finding] = []
        self._progress: Progress | None = None
        self._position: ReadPosition | None = None
        self._ended = False
        self._bytes = self._lines = 0

    def turn(self, now: float, *, final: bool = False) -> Outcome:
        """Reads until the end of the file or of this turn; OSError becomes ``error``."""
        self._found, self._progress = [], None
        self._bytes = self._lines = 0
        spent, error, more = 0, "", False
        try:
            while (chunk := self.tailer.poll(now, final=final)) is not None:
                self._hear(chunk)
                spent += max(len(chunk.block), LINE_CAP)
                if spent >= TURN or len(self._found) >= MANY:
                    more = True
                    break
        except OSError as failure:
            error = str(failure)
        except Exception as failure:  # one strange line must not stop the logs of all jobs
            error = f"detection failed in {self.tailer.file.path}: {failure!r}"
        if final and not more and not error and not self._ended:
            self._ended = True
            self.tailer.stay()
        self._position = self.tailer.position or self._position
        return Outcome(
            found=tuple(self._found),
            progress=self._progress,
            position=self._position,
            grew=spent > 0,
            more=more,
            error=error,
            bytes=self._bytes,
            lines=self._lines,
        )

    def _hear(self, chunk: Chunk) -> None:
        ear = self._ear(chunk.stream)
        if chunk.partial:
            self._hear_partial(ear, chunk)
        elif chunk.block:
            self._bytes += len(chunk.block)
            self._lines += chunk.lines
            self._keep(ear.detector.feed(chunk.block, chunk.offset, chunk.line_no), ear, 0)
            ear.told.clear()
            ear.context = last_lines(chunk.block, _CONTEXT_LINES, _CONTEXT_BYTES)
            ear.context_ends = chunk.offset + len(chunk.block)

    def _ear(self, stream: int) -> _Ear:
        if stream not in self._ears:
            self._ears[stream] = _Ear(self._make_detector())
            for old in sorted(self._ears)[:-2]:
                del self._ears[old]
        return self._ears[stream]

    def _hear_partial(self, ear: _Ear, chunk: Chunk) -> None:
        context = ear.context if ear.context_ends == chunk.offset else b""
        offset = chunk.offset - len(context)
        line_no = chunk.line_no - context.count(b"\n")
        findings = self._make_detector().feed(context + chunk.block, offset, line_no)
        if self._keep(findings, ear, chunk.offset):
            self.tailer.claim(chunk)

    def _keep(self, findings: Findings, ear: _Ear, start: int) -> bool:
        """Keeps what lies at or behind ``start`` and was not told before; True if any did."""
        fresh = [f for f in findings.found if f.offset >= start and _key(f) not in ear.told]
        ear.told.update(_key(finding) for finding in fresh)
        self._found.extend(fresh)
        if findings.progress is not None and findings.progress.offset >= start:
            self._progress = findings.progress
        return bool(fresh)


def _key(finding: Finding) -> tuple[str, int]:
    return finding.rule, finding.offset
