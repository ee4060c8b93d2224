"""The moments of one attempt from which its efficiency is reckoned.

They come from several clocks: slurmctld's (starts and ends, in whole seconds), ajrd's (when a line
was read, when something was decided), so they may contradict each other by a little. Nothing here
relies on their order.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

#: How long after the end of an attempt its logs may still tell news of it.
SETTLES = timedelta(minutes=2)
#: A new job of the same user and name that is submitted within this time goes on with the work.
RESUBMITTED_WITHIN = timedelta(hours=24)


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """What the logs of an attempt told of its progress: (first, last) times, (first, last) steps.

    ``last_step`` is the furthest one. Steps are None where the logs name none.
    """

    first_at: datetime
    last_at: datetime
    first_step: int | None = None
    last_step: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Successor:
    """The attempt that goes on with the work: of the same job, or the first of another one.

    ``eligible``: since when nothing but resources kept it from starting. ``over``: it has ended.
    """

    started: datetime
    eligible: datetime | None = None
    first_progress: datetime | None = None
    first_step: int | None = None
    over: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Milestones:
    """One attempt that has ended. None: it did not happen, or nobody knows when.

    ``failed`` is the first line that stood unanswered by progress, ``decided`` when ajrd's decision
    was written, ``handed_over`` when ajrd gave the job up to people. ``well``: it completed.
    ``recovered``: ajrd brought the successor, unasked. ``by_people``: somebody resubmitted,
    requeued or held it. ``tells_progress``: the logs of this job are known to tell of progress at
    all. ``awaits``: a successor is still to be expected.
    """

    submitted: datetime
    started: datetime
    ended: datetime
    eligible: datetime | None = None
    steps: Steps | None = None
    failed: datetime | None = None
    decided: datetime | None = None
    handed_over: datetime | None = None
    successor: Successor | None = None
    well: bool = False
    recovered: bool = False
    by_people: bool = False
    tells_progress: bool = False
    awaits: bool = False
    gpus: int = 0
