"""Jobs that the store takes for open and Slurm does not show: they ended while nobody looked.

An ajrd that was down for longer than MinJobAge, or died before it had written the end of a job,
leaves rows behind that nothing watches. Left open they would be shown as running for ever, would
never be pruned and never get a record of efficiency.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from datetime import datetime
from itertools import islice

import structlog

from ajrd.model import DecisionState, JobInfo
from ajrd.recovery.tracking import same_submission
from ajrd.store.records import JobRecord
from ajrd.store.store import Store

log = structlog.get_logger("ajrd.jobs")

#: So many are closed after one look: recovery waits meanwhile.
AT_ONCE = 20


class Unseen:
    """Open jobs of the store that no look has found so far."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: dict[int, JobRecord] = {}
        self._looks = 0

    def expect(self, jobs: Iterable[JobRecord]) -> None:
        """These are open in the store: count the looks at Slurm anew."""
        self._waiting = {job.id: job for job in jobs}
        self._looks = 0

    def among(self, listing: Iterable[JobInfo]) -> set[str]:
        """The job ids of those that are waited for and there; others may have had them since."""
        known = {job.job_id: job for job in self._waiting.values()}
        there = ((known.get(seen.job_id), seen) for seen in listing)
        return {job.job_id for job, seen in there if job and same_submission(job, seen)}

    async def looked(self, found: Collection[int], looks: int, now: datetime) -> None:
        """Slurm was looked at and shows the rows ``found``; after so many looks the rest is over.

        Raises StoreUnavailable, and goes on there after the next look.
        """
        for row in found:
            self._waiting.pop(row, None)
        self._looks += 1
        if self._looks < looks:
            return
        for job in list(islice(self._waiting.values(), AT_ONCE)):
            if await self._closed(job, now):
                del self._waiting[job.id]
            else:
                self._waiting[job.id] = self._waiting.pop(job.id)

    async def _closed(self, job: JobRecord, now: datetime) -> bool:
        """Ends the job; False while a decision on one of its attempts is being carried out."""
        for attempt in await self._store.attempts(job.id):
            decision = await self._store.decision(attempt.id)
            if decision is not None and decision.state is DecisionState.OPEN:
                return False
        await self.close(job, now, "Slurm had forgotten it when ajrd looked again")
        return True

    async def close(self, job: JobRecord, now: datetime, why: str) -> None:
        """The job is over, and so are its attempts; nobody saw how."""
        for attempt in await self._store.attempts(job.id):
            if attempt.ended_at is None:
                over = replace(attempt, state="UNKNOWN", ended_at=now)
                await self._store.save_attempt(over, now, "attempt_ended")
        closed = replace(job, closed=True, seen_at=now)
        await self._store.save_job(closed, [("job_closed", why)])
        log.info("job_forgotten", job=job.job_id)
