"""What was read from Loki and is not in the store yet."""

from __future__ import annotations

from dataclasses import dataclass, field

from ajrd.loki.listen import Told
from ajrd.model import Anomaly, Progress, ReadPosition
from ajrd.store.records import AttemptRecord, News

#: Findings that wait to be kept; with more of them nothing is read on.
MOST = 20_000


@dataclass(slots=True)
class _Pending:
    attempt: AttemptRecord
    found: list[Anomaly] = field(default_factory=list)
    positions: dict[str, tuple[ReadPosition, Progress | None]] = field(default_factory=dict)


@dataclass(slots=True)
class Unkept:
    """By attempt; offered to the store as a whole, and taken away when it has kept that."""

    _pending: dict[int, _Pending] = field(default_factory=dict)
    _found: int = 0

    def add(self, attempt: AttemptRecord, told: Told) -> None:
        """Gathers what some entries told."""
        pending = self._of(attempt)
        pending.found += told.found
        self._found += len(told.found)
        if told.progress is not None:
            where = position(told.source, told.progress.offset, told.progress.line_no)
            pending.positions[told.source] = where, told.progress

    def replace(self, attempt: int, old: Anomaly, new: Anomaly) -> None:
        """More is known of a finding, if it is not kept already."""
        pending = self._pending.get(attempt)
        if pending is not None and old in pending.found:
            pending.found[pending.found.index(old)] = new

    def adopt(self, attempt: AttemptRecord, where: ReadPosition) -> None:
        """From here on an attempt is read."""
        self._of(attempt).positions[where.path] = where, None

    def take(self) -> list[News]:
        """All of it; :meth:`give_back` what could not be kept."""
        news = [
            News(attempt=p.attempt, seen=tuple(p.found), positions=tuple(p.positions.values()))
            for p in self._pending.values()
        ]
        self._pending, self._found = {}, 0
        return news

    def give_back(self, news: list[News]) -> None:
        """It was not kept; newer positions than its own stay."""
        for one in news:
            pending = self._of(one.attempt)
            pending.found[:0] = one.seen
            self._found += len(one.seen)
            older = {where.path: (where, progress) for where, progress in one.positions}
            pending.positions = older | pending.positions

    def drop(self, attempt: int) -> None:
        """Somebody else looks after what was found in it."""
        gone = self._pending.pop(attempt, None)
        self._found -= len(gone.found) if gone else 0

    def of(self, attempt: int) -> bool:
        """Is there anything of this attempt?"""
        return attempt in self._pending

    @property
    def full(self) -> bool:
        """Must reading wait?"""
        return self._found > MOST

    def _of(self, attempt: AttemptRecord) -> _Pending:
        pending = self._pending.setdefault(attempt.id, _Pending(attempt))
        pending.attempt = attempt
        return pending


def position(source: str, ns: int, line_no: int) -> ReadPosition:
    """A place in Loki as the store keeps places in files."""
    return ReadPosition(source, 0, 0, ns, line_no, "")
