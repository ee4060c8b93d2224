"""What was read of one file and is not kept yet.

While the sink cannot keep anything, reading goes on and the news gather here. They are offered as
one batch, so the position that is offered never stands behind evidence that is not offered with it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime

from ajrd.logs.feed import LogBatch
from ajrd.logs.source import Outcome
from ajrd.model import Finding, Progress, ReadPosition

#: Findings of one file that wait to be kept; with more of them the file is not read on.
MOST_OF_A_FILE = 500


@dataclass(slots=True)
class Backlog:
    """The news of one file of one attempt; ``position`` is how far it has been read."""

    attempt_id: int
    source: str
    position: ReadPosition | None = field(default=None, init=False)
    _kept: ReadPosition | None = field(default=None, init=False)
    _found: list[Finding] = field(default_factory=list, init=False)
    _progress: Progress | None = field(default=None, init=False)
    _progress_at: datetime | None = field(default=None, init=False)

    def add(self, outcome: Outcome, uncertain: bool, now: datetime) -> LogBatch:
        """Gathers what one turn of reading brought, and gives it as a batch of its own."""
        self.position = outcome.position
        self._found += outcome.found
        progress_at = now if outcome.progress is not None else None
        if outcome.progress is not None:
            self._progress, self._progress_at = outcome.progress, progress_at
        return replace(
            self.batch(uncertain),
            found=outcome.found,
            progress=outcome.progress,
            progress_at=progress_at,
        )

    def batch(self, uncertain: bool) -> LogBatch:
        """All of it."""
        return LogBatch(
            attempt_id=self.attempt_id,
            source=self.source,
            found=tuple(self._found),
            progress=self._progress,
            progress_at=self._progress_at,
            position=self.position,
            uncertain=uncertain,
        )

    def keep(self, batch: LogBatch) -> None:
        """``batch`` is kept; what has come since it was made stays."""
        del self._found[: len(batch.found)]
        if self._progress is batch.progress:
            self._progress = self._progress_at = None
        self._kept = batch.position

    @property
    def found(self) -> int:
        """How many findings wait."""
        return len(self._found)

    @property
    def full(self) -> bool:
        """Must reading wait?"""
        return len(self._found) > MOST_OF_A_FILE

    @property
    def news(self) -> bool:
        """Is there anything that is not kept?"""
        moved = self.position is not None and self.position != self._kept
        return moved or bool(self._found) or self._progress is not None
