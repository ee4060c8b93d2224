"""What the recovery loop can be told, and the sides of it that others provide."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from ajrd.model import Anomaly, Directive, Finding, JobInfo, Verdict
from ajrd.policy.directive import Limits
from ajrd.policy.eligibility import Site
from ajrd.store.records import AttemptRecord, JobRecord

Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Times are in seconds.

    ``hold_limit`` is how long a job may at most stay held by ajrd, ``store_grace`` how long a
    decision waits for a database that is away, ``contest`` how long a name stands in AdminComment
    before ajrd kills without the database. ``no_progress_limit``: so many attempts in a row may
    fail by one cause without getting further (0: any number). ``backoff`` is how long a job is
    first put off whose attempts fail at once.
    """

    poll: float = 1.0
    settle: float = 2.0
    progress_lag: float = 1.0
    hold_limit: float = 120.0
    drain_limit: float = 3.0
    store_grace: float = 60.0
    contest: float = 2.0
    no_progress_limit: int = 2
    backoff: float = 15.0
    site: Site = field(default_factory=Site)
    limits: Limits = field(default_factory=Limits)


class Detection(Protocol):
    """The pure judgement of evidence, from :mod:`ajrd.detect`."""

    def classify(self, anomalies: Sequence[Anomaly]) -> Verdict:
        """One verdict from all standing evidence."""

    def from_end_state(self, job: JobInfo) -> Finding | None:
        """What Slurm's own end state means."""


class Logs(Protocol):
    """The logs of running attempts; what is found goes to the store and back by ``notify``."""

    async def attend(
        self, job: JobRecord, seen: JobInfo, attempt: AttemptRecord, directive: Directive
    ) -> None:
        """Follow the logs of an attempt; called at every look, so it must be cheap."""

    async def drain(self, attempt: int, limit: float) -> bool:
        """Read everything that stands in the logs now; False if some could not be read.

        What the store does not take meanwhile is told to :meth:`~ajrd.recovery.loop.Recovery.hear`.
        """

    async def leave(self, attempt: int) -> None:
        """Stop following an attempt."""


def no_checkpoint(_name: str) -> None:
    """Nothing happens at a checkpoint outside of fault tests."""
