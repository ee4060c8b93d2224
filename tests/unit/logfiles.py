"""Small things for the tests of ajrd.logs: a detector that knows two words, a hung mount."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ajrd.detect.findings import Findings
from ajrd.errors import StoreUnavailable
from ajrd.logs.asowner import OwnerFiles
from ajrd.logs.feed import LogBatch
from ajrd.model import (
    Finding,
    Kind,
    LogFile,
    LogOrigin,
    Progress,
    ReadPosition,
    Recovery,
    Role,
)


class WordDetector:
    """Finds lines with ``crash``; lines with ``step`` are progress."""

    def __init__(self) -> None:
        self.last = ""

    def feed(self, block: bytes, offset: int, line_no: int) -> Findings:
        found: list[Finding] = []
        progress = None
        for line in block.splitlines(keepends=True):
            text = line.decode(errors="replace").rstrip("\n")
            line_no += 1
            if "crash" in text:
                found.append(_finding(text, offset, line_no, self.last))
            if "step" in text:
                progress = Progress(offset, line_no, text)
            self.last = text
            offset += len(line)
        return Findings(tuple(found), progress, block.count(b"\n"))


def _finding(text: str, offset: int, line_no: int, before: str) -> Finding:
    return Finding(
        rule="crash",
        kind=Kind.CRASH,
        cause="segfault",
        role=Role.ROOT,
        recovery=Recovery.REQUEUE,
        offset=offset,
        line_no=line_no,
        text=text,
        before=(before,),
    )


def log_file(path: str, origin: LogOrigin = LogOrigin.BATCH) -> LogFile:
    """A log of the user who runs the tests."""
    return LogFile(str(path), os.getuid(), os.getgid(), origin)


@dataclass
class Kept:
    """A sink that remembers, and that can be told to refuse."""

    batches: list[LogBatch] = field(default_factory=list)
    refused: list[LogBatch] = field(default_factory=list)
    down: bool = False

    async def __call__(self, batch: LogBatch) -> None:
        if self.down:
            self.refused.append(batch)
            raise StoreUnavailable("the test says so")
        self.batches.append(batch)

    def texts(self, attempt: int = 1) -> list[str]:
        """The findings kept for an attempt."""
        mine = (batch for batch in self.batches if batch.attempt_id == attempt)
        return [finding.text for batch in mine for finding in batch.found]

    def positions(self) -> list[tuple[int, ReadPosition]]:
        """As the store would give them: newest first, one for each attempt."""
        newest = {b.attempt_id: b.position for b in self.batches if b.position is not None}
        return sorted(newest.items(), reverse=True)

    async def positions_at(self, path: str) -> Sequence[tuple[int, ReadPosition]]:
        return [(a, position) for a, position in self.positions() if position.path == path]


@dataclass
class Heard:
    """Remembers what it was told of, kept or not."""

    batches: list[LogBatch] = field(default_factory=list)

    def __call__(self, batch: LogBatch) -> None:
        assert batch.found or batch.progress
        self.batches.append(batch)

    @property
    def texts(self) -> list[str]:
        return [finding.text for batch in self.batches for finding in batch.found]


class HungFiles(OwnerFiles):
    """A file system on which paths chosen by ``hangs`` never answer until :meth:`let_go`."""

    def __init__(self, hangs: Callable[[str], bool]) -> None:
        self._hangs = hangs
        self._answer = threading.Event()
        self.hung = threading.Event()

    def stat(self, file: LogFile) -> os.stat_result:
        if self._hangs(file.path) and not self._answer.is_set():
            self.hung.set()
            self._answer.wait()
        return super().stat(file)

    def let_go(self) -> None:
        self._answer.set()
