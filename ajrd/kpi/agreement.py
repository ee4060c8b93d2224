"""What ajrd would have done in observe mode against what then happened: pure judgement.

The table in :func:`judge` is read from the top. Whoever restarts a job, people or Slurm itself, is
taken as somebody who wanted it to go on: the store cannot tell them apart.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from ajrd.model import JobState, Verb

#: Progress so long after a decision is that of a job which would have been killed wrongly; before,
#: it may be a line that was read late.
LAG = timedelta(seconds=60)


class Fate(StrEnum):
    """What became of the attempt that a decision was about."""

    COMPLETED = "completed"
    PROGRESSED = "progressed"
    REQUEUED = "requeued"
    RESUBMITTED = "resubmitted"
    CANCELLED = "cancelled"
    ENDED = "ended"
    RUNNING = "running"


class View(StrEnum):
    """WRONG: a possible false kill. OPEN: people still have time. UNKNOWN: nobody did anything."""

    AGREES = "agrees"
    DISAGREES = "disagrees"
    WRONG = "wrong"
    UNKNOWN = "unknown"
    OPEN = "open"


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """A decision that was only written down, and what happened behind it; None: it did not.

    ``requeued_at`` is the start of the job's next attempt, ``resubmitted_at`` when the next job of
    its user and name was submitted after the decision.
    """

    job_id: str
    attempt: int
    partition: str
    verb: Verb
    kind: str
    cause: str
    decided_at: datetime
    state: str
    gpus: int
    ended_at: datetime | None = None
    progress_at: datetime | None = None
    requeued_at: datetime | None = None
    resubmitted_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Judged:
    """``saved`` (s): from the decision to the moment at which others went on; None: nothing."""

    observed: Observed
    fate: Fate
    view: View
    saved: float | None = None

    @property
    def saved_gpu_hours(self) -> float:
        """The same in GPU-hours."""
        return (self.saved or 0.0) * self.observed.gpus / 3600.0


@dataclass(frozen=True, slots=True)
class Tally:
    """How often each view was held, and what would have been saved (s, GPU-hours)."""

    decisions: int
    agrees: int
    disagrees: int
    wrong: int
    unknown: int
    open: int
    saved: float
    saved_gpu_hours: float

    @property
    def agreement(self) -> float | None:
        """The share that agrees of those on which something can be said."""
        told = self.agrees + self.disagrees + self.wrong
        return self.agrees / told if told else None


def judge(seen: Observed, within: timedelta, now: datetime) -> Judged:
    """What happened, and whether it speaks for the decision; ``within``: people's time to act."""
    goes_on = seen.verb is not Verb.STOP
    if seen.state == JobState.COMPLETED and seen.ended_at is not None:
        return Judged(seen, Fate.COMPLETED, View.WRONG)
    if seen.progress_at is not None and seen.progress_at > seen.decided_at + LAG:
        return Judged(seen, Fate.PROGRESSED, View.WRONG)
    for moment, fate in (
        (seen.requeued_at, Fate.REQUEUED),
        (seen.resubmitted_at, Fate.RESUBMITTED),
    ):
        if moment is not None and moment <= seen.decided_at + within:
            saved = max((moment - seen.decided_at).total_seconds(), 0.0)
            if goes_on:
                return Judged(seen, fate, View.AGREES, saved)
            return Judged(seen, fate, View.DISAGREES)
    fate = _without_successor(seen)
    if now < seen.decided_at + within:
        return Judged(seen, fate, View.OPEN)
    if not goes_on:
        return Judged(seen, fate, View.UNKNOWN if fate is Fate.RUNNING else View.AGREES)
    return Judged(seen, fate, View.DISAGREES if fate is Fate.CANCELLED else View.UNKNOWN)


def _without_successor(seen: Observed) -> Fate:
    if seen.ended_at is None:
        return Fate.RUNNING
    return Fate.CANCELLED if seen.state == JobState.CANCELLED else Fate.ENDED


def tally(judged: Iterable[Judged]) -> Tally:
    """Counts and sums."""
    every = list(judged)
    views = [each.view for each in every]
    return Tally(
        decisions=len(every),
        agrees=views.count(View.AGREES),
        disagrees=views.count(View.DISAGREES),
        wrong=views.count(View.WRONG),
        unknown=views.count(View.UNKNOWN),
        open=views.count(View.OPEN),
        saved=sum(each.saved or 0.0 for each in every),
        saved_gpu_hours=sum(each.saved_gpu_hours for each in every),
    )
