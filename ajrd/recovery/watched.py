"""What the loop keeps in memory of one job: a cache of the store and of the last look.

While the store is away this memory is ahead of it, and written there later; so everything that
is not stored yet can be told by its row number: 0 or below.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime

from ajrd.model import Anomaly, Directive, JobInfo
from ajrd.policy.directive import NotManaged
from ajrd.policy.evidence import Pulse
from ajrd.recovery.notebook import Notebook
from ajrd.store.records import AnomalyRecord, AttemptRecord, JobRecord

#: Findings of one attempt that are kept in memory while they cannot be stored.
MAX_UNSTORED = 1000


_Key = tuple[str, int, str, str]


@dataclass(slots=True)
class Chapter:
    """One attempt with its evidence.

    ``unsaved`` are the changes that the store has not taken: (as it stood, event, when).
    ``drained`` tells that the logs of an ended attempt were read to their end; ``weighed`` is
    the amount of evidence that was already found to mean nothing. ``notebook`` is a decision that
    was carried out while the store was away.
    """

    attempt: AttemptRecord
    unsaved: list[tuple[AttemptRecord, str, datetime]] = field(default_factory=list)
    evidence: dict[_Key, AnomalyRecord] = field(default_factory=dict)
    pulses: dict[str, Pulse] = field(default_factory=dict)
    notebook: Notebook | None = None
    decided: bool = False
    draining: bool = False
    drained: bool = False
    weighed: int = 0
    _row_keys: dict[int, _Key] = field(default_factory=dict)

    @property
    def ended(self) -> bool:
        """Has the attempt ended?"""
        return self.attempt.ended_at is not None

    @property
    def settled(self) -> bool:
        """Is there nothing to decide until something new is learnt?"""
        return self.decided or self.weighed == len(self.evidence)

    @property
    def anomalies(self) -> list[AnomalyRecord]:
        """The evidence in the order in which it came."""
        return list(self.evidence.values())

    @property
    def stored(self) -> bool:
        """Does the store know all of this?"""
        return not (self.unsaved or self.notebook or any(not r.id for r in self.anomalies))

    def add(self, records: Iterable[AnomalyRecord]) -> bool:
        """Takes evidence, and row numbers for evidence that had none; True if it was new.

        Two that have one row are the same line, from a file and by Loki: the file's stays.
        """
        before = len(self.evidence)
        for record in records:
            key = _identity(record.anomaly)
            known = self.evidence.get(key)
            if known is not None:
                self.evidence[key] = replace(known, id=record.id or known.id)
            elif record.id or len(self.evidence) < MAX_UNSTORED:
                self.evidence[key] = record
            if record.id:
                self._unite(key, record)
        return len(self.evidence) > before

    def _unite(self, key: _Key, record: AnomalyRecord) -> None:
        other = self._row_keys.setdefault(record.id, key)
        if other == key:
            return
        less = other if self.evidence[other].anomaly.by_loki else key
        self.evidence.pop(less, None)
        self._row_keys[record.id] = key if less == other else other


@dataclass(slots=True)
class Watched:
    """One job that opted in, or tried to. Everything here can be rebuilt from Slurm and store.

    ``stored`` is the submission as the store has it, ``said`` are events about it that the store
    has not taken. ``chapters`` are the attempts with something unsaved, and last the newest.
    ``missing`` counts listings of Slurm in a row that did not show the job; ``driving`` that a
    decision is being carried out.
    """

    record: JobRecord
    seen: JobInfo
    directive: Directive | NotManaged
    stored: JobRecord | None = None
    said: list[tuple[str, str]] = field(default_factory=list)
    chapters: list[Chapter] = field(default_factory=list)
    missing: int = 0
    driving: bool = False

    @property
    def chapter(self) -> Chapter | None:
        """The newest attempt."""
        return self.chapters[-1] if self.chapters else None


def _identity(anomaly: Anomaly) -> _Key:
    """What makes a line the same line; as the store's digest does."""
    finding = anomaly.finding
    return anomaly.source, finding.offset, finding.rule, finding.text
