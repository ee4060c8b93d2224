"""A whole ajrd in small steps: the real loop, driver and store on a Slurm in memory.

Nothing here runs by itself: every look, every decision, every step of a decision and every second
is asked for, so that any of them may come between any others. Slurm and the store fail when told
to. The world remembers what was truly done to each job, whatever anybody was told about it.
"""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncConnection

from ajrd.errors import SlurmRejected, StoreUnavailable
from ajrd.judgement import Judgement
from ajrd.model import Anomaly, HoldBy, JobInfo, JobState
from ajrd.policy.eligibility import Site
from ajrd.recovery.driver import Run
from ajrd.recovery.leadership import Alone
from ajrd.recovery.loop import Recovery
from ajrd.recovery.sequence import End
from ajrd.recovery.settings import Settings
from ajrd.recovery.watched import Watched
from ajrd.slurm.memory import MemorySlurm
from ajrd.store import queries, requests, rows
from ajrd.store.address import Address
from ajrd.store.records import (
    AttemptRecord,
    DecisionRecord,
    JobRecord,
    RequestRecord,
    Suspicion,
)
from ajrd.store.schema import jobs
from ajrd.store.statements import number_of
from ajrd.store.store import Store
from ajrd.watchdog import Patience, Watchdog
from tests.unit.samples import finding
from tests.unit.test_loop import NoLogs

#: One attempt of one job.
Key = tuple[str, int]
GRACE = 60.0
#: Seconds for one transaction: a busy machine is no outage, of which there are enough here.
PATIENCE = 60.0


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.at = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.at

    def pass_by(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


@dataclass(slots=True)
class WitnessSlurm(MemorySlurm):
    """Remembers what ajrd's commands did, as opposed to what they answered."""

    acting: bool = False
    requeued: list[Key] = field(default_factory=list)
    cancelled: list[Key] = field(default_factory=list)
    trespasses: list[str] = field(default_factory=list)
    untouchable: set[str] = field(default_factory=set)

    async def requeue_hold(self, job_id: str) -> None:
        await self._witness("requeue_hold", job_id, self.requeued)

    async def cancel(self, job_id: str) -> None:
        await self._witness("cancel", job_id, self.cancelled)

    async def release(self, job_id: str) -> None:
        before = self._seen(job_id)
        if before and before.held in (HoldBy.USER, HoldBy.ADMIN):
            self.trespasses.append(f"release of {job_id}, held by {before.held}")
        await MemorySlurm.release(self, job_id)

    async def _witness(self, operation: str, job_id: str, done: list[Key]) -> None:
        before = self._seen(job_id)
        try:
            await getattr(MemorySlurm, operation)(self, job_id)
        finally:
            after = self._seen(job_id)
            if before and after and before != after:
                done.append((job_id, before.restarts))
                self._judge(operation, before)

    def _judge(self, operation: str, before: JobInfo) -> None:
        if before.job_id in self.untouchable:
            self.trespasses.append(f"{operation} of {before.job_id}, which is not ours")
        if before.state in (JobState.CANCELLED, JobState.COMPLETED, JobState.PENDING):
            self.trespasses.append(f"{operation} of {before.job_id}, which is {before.state}")


class FailingStore(Store):
    """A store that is away, or fails before or after a commit, when it is told to."""

    away = False
    failing: str | None = None

    async def import_decision(
        self,
        note: DecisionRecord,
        job: JobRecord,
        attempt: AttemptRecord,
        suspects: Sequence[Suspicion] = (),
    ) -> None:
        self._failure("before")
        await super().import_decision(note, job, attempt, suspects)
        self._failure("after")

    def _failure(self, moment: str) -> None:
        if self.away or self.failing == moment:
            self.failing = None
            raise StoreUnavailable(f"the test says so ({moment})")

    @asynccontextmanager
    async def _transaction(
        self, doing: str, *, lasting: bool = False
    ) -> AsyncIterator[AsyncConnection]:
        self._failure("before")
        async with super()._transaction(doing, lasting=lasting) as db:
            yield db
        self._failure("after")

    async def _all(self, query: queries.Query) -> Sequence[rows.Row]:
        self._failure("read")
        return await super()._all(query)


class SteppedRecovery(Recovery):
    """The loop without tasks: what it would start waits to be stepped."""

    def prepare(self) -> None:
        self.runs: list[tuple[Run, Watched | None]] = []
        self.work: list[Coroutine[None, None, None]] = []

    def _spawn(self, work: Coroutine[None, None, None], name: str) -> None:
        self.work.append(work)

    async def _drive_to_end(self, run: Run, watched: Watched | None) -> None:
        self.runs.append((run, watched))

    async def settle(self) -> None:
        """Does what was started besides decisions."""
        while self.work:
            await self.work.pop(0)

    async def step(self, number: int) -> None:
        """One step of one of the open decisions."""
        if not self.runs:
            return
        run, watched = self.runs[number % len(self.runs)]
        if isinstance(await self._driver.step(run), End):
            self.runs.remove((run, watched))
            self._driven(run, watched)


class World:
    """One cluster with one ajrd, which may be killed and started again."""

    def __init__(self, store: FailingStore, judgement: Judgement) -> None:
        self.clock = Clock()
        self.slurm = WitnessSlurm(self.clock, kill_time=timedelta(seconds=0.1))
        self.store = store
        self.watchdog = Watchdog(
            self.slurm, Patience(), clock=self.clock, monotonic=lambda: self.clock.at.timestamp()
        )
        self._judgement = judgement
        self.lines: dict[Key, list[Anomaly]] = {}
        self.start()

    @classmethod
    async def make(cls, template: Path, path: Path, judgement: Judgement) -> World:
        """A world whose database is a copy of an empty one."""
        shutil.copy(template, path)
        store = await FailingStore.open(Address(f"sqlite:///{path}", timeout=PATIENCE))
        assert isinstance(store, FailingStore)
        return cls(store, judgement)

    def start(self) -> None:
        """As ``systemctl start``: nothing is known but what Slurm and the store say."""
        settings = Settings(
            settle=2.0, progress_lag=0.0, store_grace=GRACE, contest=2.0, no_progress_limit=0,
            site=Site(act=True),
        )  # fmt: skip
        self.recovery = SteppedRecovery(
            self.slurm, self.store, NoLogs(), self._judgement, settings, self.clock, Alone()
        )
        self.recovery.prepare()

    def kill(self) -> None:
        """As ``kill -9``."""
        for work in self.recovery.work:
            work.close()

    def seen(self, job_id: str) -> JobInfo | None:
        return self.slurm._seen(job_id)

    def crash(self, job_id: str) -> None:
        """The running attempt prints a fatal line."""
        job = self.seen(job_id)
        if job is None or job.state is not JobState.RUNNING:
            return
        lines = self.lines.setdefault((job_id, job.restarts), [])
        offset = 100 * (len(lines) + 1)
        lines.append(Anomaly(finding(offset=offset), f"{job_id}.log", self.clock()))

    async def deliver(self) -> None:
        """The follower offers what was printed, as it does until the store takes it."""
        for watched in list(self.recovery._jobs.watched.values()):
            chapter = watched.chapter
            if chapter is None:
                continue
            lines = self.lines.get((watched.record.job_id, chapter.attempt.idx), [])
            try:
                if chapter.attempt.id <= 0:
                    raise StoreUnavailable("the attempt itself is not stored")
                new = await self.store.record_evidence(
                    chapter.attempt, lines, None, None, self.clock()
                )
                self.recovery.learn(chapter.attempt.id, new, None)
            except StoreUnavailable:
                self.recovery.hear(chapter.attempt.id, lines, None)

    async def ask(self, job_id: str, verb: str, by: str = "alice", reason: str = "I say so") -> int:
        """Somebody asks for something; 0 if ajrd does not know the job. The store is there."""
        async with self.store._database.transaction(nullcontext(), "asking", writes=True) as db:
            row = await number_of(db, jobs, jobs.c.job_id == job_id)
            return await requests.ask(db, row, verb, by, reason, self.clock()) if row else 0

    async def answers(self) -> dict[int, RequestRecord]:
        """All requests by their numbers, without what nobody understands."""
        known = queries.Query("SELECT * FROM requests WHERE requests.verb <> 'teleport'")
        return {row["id"]: rows.request(row) for row in await self.store._database.all(known)}

    async def turn(self) -> None:
        """One look with what follows from it, decisions not included."""
        await self.recovery.look()
        await self.deliver()
        await self.recovery.consider()
        await self.recovery.settle()

    async def go_on(self, seconds: float, step: float = 1.0) -> None:
        """Everything works for a while."""
        passed = 0.0
        while passed < seconds:
            self.clock.pass_by(step)
            passed += step
            self.slurm.schedule()
            await self.turn()
            for number in range(len(self.recovery.runs)):
                for _ in range(4):
                    await self.recovery.step(number)

    def try_as_user(self, act: str, job_id: str) -> None:
        """Something that a user or an administrator does; Slurm may refuse it."""
        try:
            getattr(self.slurm, act)(job_id)
        except SlurmRejected:
            return
