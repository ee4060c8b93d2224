"""Retention: what is over for long enough is forgotten, a little in each transaction.

A job that is open, or whose decision is open, is never forgotten, however old it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select, delete, exists, func, select, true
from sqlalchemy.ext.asyncio import AsyncConnection

from ajrd.model import DecisionState
from ajrd.store.schema import attempts, decisions, events, jobs

#: Jobs of one transaction, and events that belong to no job.
BATCH = 50


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was forgotten; ``events`` are those that belonged to no job."""

    jobs: int = 0
    attempts: int = 0
    events: int = 0

    def __add__(self, other: Pruned) -> Pruned:
        return Pruned(
            self.jobs + other.jobs, self.attempts + other.attempts, self.events + other.events
        )


def prunable_jobs(before: datetime) -> Select[tuple[int]]:
    """The numbers of a few jobs that may go."""
    waits = exists().where(
        attempts.c.job == jobs.c.id,
        decisions.c.attempt == attempts.c.id,
        decisions.c.state == DecisionState.OPEN.value,
    )
    over = (jobs.c.closed == true()) & (jobs.c.seen_at < before)
    return select(jobs.c.id).where(over, ~waits).order_by(jobs.c.seen_at).limit(BATCH)


def prunable_events(before: datetime) -> Select[tuple[int]]:
    """The numbers of a few events of no job that may go."""
    return (
        select(events.c.id)
        .where(events.c.job.is_(None), events.c.at < before)
        .order_by(events.c.at)
        .limit(BATCH * 10)
    )


async def prune(db: AsyncConnection, before: datetime) -> Pruned:
    """Forgets one batch; all counts are 0 when nothing is left to forget."""
    old = (await db.execute(prunable_jobs(before))).scalars().all()
    count = select(func.count()).select_from(attempts).where(attempts.c.job.in_(old))
    tries = (await db.execute(count)).scalar_one()
    await db.execute(delete(jobs).where(jobs.c.id.in_(old)))
    loose = (await db.execute(prunable_events(before))).scalars().all()
    await db.execute(delete(events).where(events.c.id.in_(loose)))
    return Pruned(len(old), tries, len(loose))
