"""The watch on a real store, with attempts that somebody says to be running."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from ajrd.config import LokiSection
from ajrd.judgement import Judgement
from ajrd.loki.watch import LokiWatch
from ajrd.model import Anomaly, Directive, JobInfo, ResumeMode
from ajrd.policy.evidence import Pulse
from ajrd.recovery.tracking import new_job, opened
from ajrd.store.records import AnomalyRecord, AttemptRecord, JobRecord
from ajrd.store.store import Store
from tests.loki.place import Place
from tests.unit.samples import job

JUDGEMENT = Judgement(())
DIRECTIVE = Directive(mode=ResumeMode.REQUEUE, max_requeue_times=1)
CRASH = "Rank{}: (1) segmentation fault: artificial segfault"
STEP = " iteration {} / 1000 | elapsed time per iteration (ms): 2739.0"


def now() -> datetime:
    """Loki takes no lines of other years, so these tests live in the present."""
    return datetime.now(UTC)


def section(loki: Place, **changes: Any) -> LokiSection:
    """What the site has configured: quick, and only for the streams of one test."""
    values: dict[str, Any] = {
        "url": loki.url,
        "jobs": (loki.selector,),
        "interval": 0.3,
        "lag": 0.0,
        "timeout": 5,
    }
    return LokiSection(**values | changes)


@dataclass
class Heard:
    """What the recovery loop was told."""

    anomalies: list[tuple[int, Anomaly]] = field(default_factory=list)
    pulses: list[tuple[int, Pulse]] = field(default_factory=list)
    learned: list[AnomalyRecord] = field(default_factory=list)

    def hear(self, attempt: int, seen: list[Anomaly], pulse: Pulse | None) -> None:
        self.anomalies += [(attempt, anomaly) for anomaly in seen]
        if pulse is not None:
            self.pulses.append((attempt, pulse))

    def learn(self, attempt: int, new: list[AnomalyRecord], pulse: Pulse | None) -> None:
        self.learned += new


@dataclass
class World:
    """A store with jobs in it, and what a watch has told of them."""

    store: Store
    heard: Heard = field(default_factory=Heard)

    async def job(self, job_id: str = "7", age: float = 5.0, **changes: Any) -> Job:
        """A running job that began ``age`` seconds ago."""
        began = now().replace(microsecond=0) - timedelta(seconds=age)
        seen = job(job_id=job_id, raw_id=int(job_id), start_time=began, **changes)
        seen = replace(seen, submit_time=began)
        record = new_job(seen, "c", managed=True, note="", now=began)
        record = await self.store.add_job(record, "seen")
        attempt = await self.store.save_attempt(opened(record, seen, began), began, "started")
        return Job(self, record, seen, attempt)

    async def kept(self, attempt: int, count: int) -> list[AnomalyRecord]:
        """The anomalies of an attempt, once there are so many."""
        async with asyncio.timeout(30):
            while len(found := await self.store.anomalies(attempt)) < count:
                await asyncio.sleep(0.02)
        return found


@dataclass
class Job:
    """One job and its newest attempt."""

    world: World
    record: JobRecord
    seen: JobInfo
    attempt: AttemptRecord

    async def attend(self, watch: LokiWatch, directive: Directive = DIRECTIVE) -> None:
        """A look at Slurm shows it running."""
        await watch.attend(self.record, self.seen, self.attempt, directive)

    async def restart(self) -> Job:
        """Its next attempt begins."""
        seen = replace(self.seen, restarts=self.seen.restarts + 1, start_time=now())
        opened_now = replace(opened(self.record, seen, now(), 0), job=self.record.id)
        attempt = await self.world.store.save_attempt(opened_now, now(), "started")
        return Job(self.world, self.record, seen, attempt)


@asynccontextmanager
async def watching(
    world: World, loki: Place, *jobs: Job, **changes: Any
) -> AsyncIterator[LokiWatch]:
    """A watch that runs, told of the jobs at every look."""
    watch = LokiWatch(section(loki, **changes), world.store, JUDGEMENT, now)
    watch.learn, watch.hear = world.heard.learn, world.heard.hear
    looks = asyncio.create_task(_looks(watch, jobs))
    running = asyncio.create_task(watch.run())
    try:
        yield watch
    finally:
        for task in (looks, running):
            task.cancel()
        await asyncio.gather(looks, running, return_exceptions=True)


async def _looks(watch: LokiWatch, jobs: tuple[Job, ...]) -> None:
    while True:
        for each in jobs:
            await each.attend(watch)
        await asyncio.sleep(0.1)


async def until(condition: Callable[[], object], patience: float = 30.0) -> None:
    """Waits until a condition holds."""
    async with asyncio.timeout(patience):
        while not condition():
            await asyncio.sleep(0.01)
