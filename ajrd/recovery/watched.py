"""What the loop keeps in memory of one job: a cache of the store and of the last look."""

from __future__ import annotations

from dataclasses import dataclass, field

from ajrd.model import Directive, JobInfo
from ajrd.policy.directive import NotManaged
from ajrd.policy.evidence import Pulse
from ajrd.store.records import AnomalyRecord, AttemptRecord, JobRecord


@dataclass(slots=True)
class Watched:
    """One job that opted in, or tried to. Everything here can be rebuilt from Slurm and store.

    ``drained`` tells that the logs of an ended attempt were read to their end; ``weighed`` is
    the amount of evidence that was already found to mean nothing; ``missing`` counts listings
    of Slurm in a row that did not show the job; ``driving`` that a decision is being carried out.
    """

    record: JobRecord
    seen: JobInfo
    directive: Directive | NotManaged
    attempt: AttemptRecord | None = None
    anomalies: list[AnomalyRecord] = field(default_factory=list)
    pulses: dict[str, Pulse] = field(default_factory=dict)
    decided: bool = False
    draining: bool = False
    drained: bool = False
    weighed: int = 0
    missing: int = 0
    driving: bool = False

    @property
    def ended(self) -> bool:
        """Has the newest attempt ended?"""
        return self.attempt is not None and self.attempt.ended_at is not None

    @property
    def settled(self) -> bool:
        """Is there nothing to decide until something new is learnt?"""
        nothing_new = self.weighed == len(self.anomalies)
        return self.attempt is None or self.decided or nothing_new

    def begin(self, attempt: AttemptRecord) -> None:
        """A new attempt: no evidence of an earlier one may be seen in it (invariant 6)."""
        self.attempt = attempt
        self.anomalies, self.pulses = [], {}
        self.decided = self.draining = self.drained = False
        self.weighed = 0
