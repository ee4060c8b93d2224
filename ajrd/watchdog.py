"""Fail open: releases the jobs that a dead ajrd, or one without its database, has left held.

The watchdog is a process of its own and needs nothing but Slurm: ajrd writes the attempt it acts
on and the deadline of its hold into AdminComment before it holds a job. A hold is ajrd's if the
job was requeued into it and the mark is of the attempt that this requeue ended; every other hold
is somebody's who knows better. It is released when its deadline has passed by this host's clock,
or when the watchdog has itself watched it for longer than ajrd may hold, whatever the clocks say.
A living ajrd acts on the deadline itself; ``grace`` seconds leave it the time to do so.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ajrd.errors import SlurmRejected, SlurmUnavailable
from ajrd.model import JobInfo
from ajrd.priority import priority
from ajrd.slurm.base import Slurm
from ajrd.slurm.holds import Hold, own_hold, release


def watched_since(
    jobs: Iterable[JobInfo], before: Mapping[Hold, float], now: float
) -> dict[Hold, float]:
    """ajrd's holds, each with the moment since which every look has shown it."""
    holds = [hold for job in jobs if (hold := own_hold(job))]
    return {hold: before.get(hold, now) for hold in holds}


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds: ``hold_limit`` is how long ajrd may hold a job, ``grace`` what is added to it.

    By default that is the service's own limit and the longest time that it puts a job off.
    """

    hold_limit: float = 720.0
    grace: float = 30.0

    def over(self, hold: Hold, now: datetime, watched: float) -> str:
        """Why a hold that was watched for ``watched`` seconds is to be released; "": it is not."""
        if now >= hold.deadline + timedelta(seconds=self.grace):
            return f"its deadline was {hold.deadline.isoformat()}"
        if watched > self.hold_limit + self.grace:
            return f"it has been held for {watched:.0f} s"
        return ""


def say(event: str, level: str, **facts: object) -> None:
    """One line of JSON on standard error, with the keys of the service's own log.

    A log that cannot be written must not keep a job held.
    """
    line = {**facts, "event": event, "level": level, "timestamp": _utc().isoformat()}
    with contextlib.suppress(OSError):
        print(priority(level) + json.dumps(line), file=sys.stderr, flush=True)


def _utc() -> datetime:
    return datetime.now(UTC)


class Watchdog:
    """Looks at Slurm and releases; with ``dry_run`` it only says what it would release.

    ``stepped`` is when it last came a step further, by ``monotonic``.
    """

    def __init__(
        self,
        slurm: Slurm,
        patience: Patience,
        *,
        dry_run: bool = False,
        clock: Callable[[], datetime] = _utc,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._slurm = slurm
        self._patience = patience
        self._dry_run = dry_run
        self._clock = clock
        self._monotonic = monotonic
        self._since: dict[Hold, float] = {}
        self.stepped = monotonic()

    async def run(self, interval: float) -> None:
        """Looks every ``interval`` seconds until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(interval)

    async def look(self) -> bool:
        """One look at all jobs; False if Slurm could not be asked everything."""
        self.stepped = self._monotonic()
        try:
            jobs = await self._slurm.jobs()
        except SlurmUnavailable as error:
            say("slurm_silent", "warning", why=str(error))
            return False
        self._since = watched_since(jobs, self._since, self._monotonic())
        answers = [await self._consider(hold) for hold in self._since if self._over(hold)]
        return all(answers)

    def _over(self, hold: Hold) -> str:
        watched = self._monotonic() - self._since[hold]
        return self._patience.over(hold, self._clock(), watched)

    async def _consider(self, hold: Hold) -> bool:
        """Releases a job if it is still held so; False if Slurm could not be asked."""
        self.stepped = self._monotonic()
        try:
            job = await self._slurm.job(hold.job_id)
            same = own_hold(job) if job else None
            if job is not None and same == hold and (why := self._over(same)):
                await self._release(job, why)
        except SlurmUnavailable as error:
            say("release_waits", "warning", job=hold.job_id, why=str(error))
            return False
        except SlurmRejected as error:
            say("release_refused", "error", job=hold.job_id, why=str(error))
        return True

    async def _release(self, job: JobInfo, why: str) -> None:
        if self._dry_run:
            say("would_release", "info", job=job.job_id, restarts=job.restarts, why=why)
            return
        if late := await release(self._slurm, job):
            say("starts_late", "warning", job=job.job_id, why=late)
        say("released", "warning", job=job.job_id, restarts=job.restarts, why=why)
