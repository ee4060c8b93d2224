"""The reconcile loop on a Slurm in memory: lost answers, other people's actions, the budget."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ajrd.errors import SlurmRejected, SlurmUnavailable
from ajrd.judgement import Judgement
from ajrd.model import (
    Anomaly,
    DecisionState,
    Directive,
    HoldBy,
    JobInfo,
    JobState,
    Recovery,
    Verb,
)
from ajrd.policy.eligibility import Site
from ajrd.policy.evidence import Pulse
from ajrd.recovery import loop
from ajrd.recovery.leadership import Alone
from ajrd.recovery.settings import Settings
from ajrd.slurm.base import JobUpdate, Refusal
from ajrd.slurm.memory import MemorySlurm
from ajrd.store.records import AttemptRecord, DecisionRecord, JobRecord
from ajrd.store.store import Store
from tests.unit.samples import COMMENT, finding

QUICK = {
    "poll": 0.02, "settle": 0.05, "progress_lag": 0.0, "drain_limit": 0.1, "backoff": 0.0,
    "no_progress_limit": 0,
}  # fmt: skip
THREE = COMMENT.replace('"max_requeue_times": 1', '"max_requeue_times": 3')
AWAY = SlurmUnavailable("the test says so")


def now() -> datetime:
    return datetime.now(UTC)


class NoLogs:
    """Logs in which the tests themselves find what they like."""

    async def attend(
        self, job: JobRecord, seen: JobInfo, attempt: AttemptRecord, directive: Directive
    ) -> None:
        return

    async def drain(self, attempt: int, limit: float) -> bool:
        return True

    async def leave(self, attempt: int) -> None:
        return


@dataclass(slots=True)
class CountedSlurm(MemorySlurm):
    """Counts the looks at all jobs; lets something happen behind an update and the first look."""

    looks: int = 0
    behind_update: Callable[[], None] = lambda: None
    behind_listing: Callable[[], None] = lambda: None

    async def jobs(self) -> list[JobInfo]:
        self.looks += 1
        found = await MemorySlurm.jobs(self)
        if self.looks == 1:
            self.behind_listing()
        return found

    async def update(self, job_id: str, change: JobUpdate) -> None:
        await MemorySlurm.update(self, job_id, change)
        self.behind_update()


class World:
    """A loop on a Slurm in memory whose scheduler starts what it can every few milliseconds."""

    def __init__(self, store: Store, judgement: Judgement, **settings: Any) -> None:
        self.slurm = CountedSlurm(now, kill_time=timedelta(seconds=0.02))
        self.store = store
        values: dict[str, Any] = {"site": Site(act=True), **QUICK, **settings}
        self.loop = loop.Recovery(
            self.slurm, store, NoLogs(), judgement, Settings(**values), now, Alone()
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        tasks = [
            asyncio.create_task(self.loop.run()),
            asyncio.create_task(self._schedule()),
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            assert all(task.cancelled() for task in tasks)

    async def _schedule(self) -> None:
        while True:
            self.slurm.schedule()
            await asyncio.sleep(0.005)

    async def seen(self, job_id: str) -> JobInfo:
        job = next((j for j in self.slurm._alive() if j.info.job_id == job_id), None)
        assert job is not None
        return job.info

    async def attempt(self, job_id: str, idx: int) -> AttemptRecord:
        """The attempt once the store knows it."""

        async def known() -> AttemptRecord | None:
            record = await self.store.latest_job("memory", job_id)
            attempts = await self.store.attempts(record.id) if record else []
            return next((a for a in attempts if a.idx == idx), None)

        attempt: AttemptRecord = await until(known)
        return attempt

    async def crash(self, attempt: AttemptRecord, **changes: Any) -> None:
        """A crash line is found in the log of an attempt."""
        seen = Anomaly(finding(**changes), "a.log", now())
        new = await self.store.record_evidence(attempt, [seen], None, None, now())
        self.loop.learn(attempt.id, new, None)

    async def decided(self, attempt: AttemptRecord) -> DecisionRecord:
        """The decision on an attempt, once it is closed."""

        async def closed() -> DecisionRecord | None:
            decision = await self.store.decision(attempt.id)
            return decision if decision and decision.state is not DecisionState.OPEN else None

        decision: DecisionRecord = await until(closed)
        return decision

    async def looks(self, count: int = 5) -> None:
        """So many looks of the loop, each followed by its decisions, go by."""
        wanted = self.slurm.looks + count

        async def gone_by() -> bool:
            return self.slurm.looks >= wanted

        await until(gone_by)

    def commands(self, name: str) -> int:
        return sum(1 for operation, _job in self.slurm.calls if operation == name)


async def until(question: Callable[[], Any], limit: float = 20.0) -> Any:
    async with asyncio.timeout(limit):
        while not (answer := await question()):
            await asyncio.sleep(0.005)
        return answer


@pytest.fixture(scope="module")
def judgement() -> Judgement:
    return Judgement([])


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = await Store.open(f"sqlite+aiosqlite:///{tmp_path}/ajrd.sqlite")
    yield store
    await store.close()


@pytest.fixture
def world(store: Store, judgement: Judgement) -> World:
    return World(store, judgement)


async def test_a_crash_is_answered_by_one_requeue(world: World) -> None:
    job_id = world.slurm.submit(comment=COMMENT)
    async with world.running():
        first = await world.attempt(job_id, 0)
        await world.crash(first)
        decision = await world.decided(first)
        job = await world.seen(job_id)
    assert (decision.verb, decision.outcome) == (Verb.REQUEUE, "successor_started")
    assert (job.state, job.restarts, job.held) == (JobState.RUNNING, 1, HoldBy.NOBODY)
    assert [name for name, _ in world.slurm.calls] == [
        "update",
        "requeue_hold",
        "update",
        "release",
    ]


@pytest.mark.parametrize("after", [True, False], ids=["answer lost", "command lost"])
@pytest.mark.parametrize("operation", ["requeue_hold", "update", "release"])
async def test_a_lost_command_or_answer_requeues_once(
    world: World, operation: str, after: bool
) -> None:
    job_id = world.slurm.submit(comment=THREE)
    async with world.running():
        first = await world.attempt(job_id, 0)
        world.slurm.fail_next(operation, AWAY, after=after)
        await world.crash(first)
        decision = await world.decided(first)
        job = await world.seen(job_id)
    assert decision.outcome == "successor_started"
    assert (job.state, job.restarts) == (JobState.RUNNING, 1)


async def test_a_controller_that_is_away_closes_nothing(world: World) -> None:
    job_id = world.slurm.submit(comment=COMMENT)
    async with world.running():
        first = await world.attempt(job_id, 0)
        for _ in range(20):
            world.slurm.fail_next("jobs", AWAY)
            world.slurm.fail_next("job", AWAY)
        await world.crash(first)
        await world.decided(first)
        assert (await world.seen(job_id)).restarts == 1
    record = await world.store.latest_job("memory", job_id)
    assert record is not None
    assert not record.closed


async def test_the_budget_is_never_exceeded_however_often_the_job_crashes(world: World) -> None:
    job_id = world.slurm.submit(comment=THREE)
    async with world.running():
        for idx in range(4):
            attempt = await world.attempt(job_id, idx)
            await world.crash(attempt)
            last = await world.decided(attempt)
        job = await world.seen(job_id)
    assert (last.verb, last.branch) == (Verb.STOP, "budget_spent")
    assert (job.state, job.restarts) == (JobState.CANCELLED, 3)
    assert world.commands("requeue_hold") == 3


async def test_evidence_of_one_attempt_never_acts_on_the_next(world: World) -> None:
    job_id = world.slurm.submit(comment=THREE)
    async with world.running():
        first = await world.attempt(job_id, 0)
        world.slurm.admin_requeue(job_id)
        world.slurm.set(job_id, eligible_time=now() + timedelta(seconds=1.1))
        await world.attempt(job_id, 1)
        await world.crash(first)
        await world.looks()
        job = await world.seen(job_id)
    assert (job.state, job.restarts) == (JobState.RUNNING, 1)
    assert world.slurm.calls == []


async def test_a_job_requeued_by_others_while_evidence_settles_is_left_alone(
    store: Store, judgement: Judgement
) -> None:
    world = World(store, judgement, settle=0.3)
    job_id = world.slurm.submit(comment=THREE)
    async with world.running():
        first = await world.attempt(job_id, 0)
        await world.crash(first)
        world.slurm.admin_requeue(job_id)
        decision = await world.decided(first)
    assert (decision.verb, decision.branch) == (Verb.LEAVE, "requeued_by_others")
    assert world.commands("requeue_hold") == 0


async def test_a_user_who_cancels_in_the_last_moment_wins(world: World) -> None:
    job_id = world.slurm.submit(comment=THREE)
    async with world.running():
        first = await world.attempt(job_id, 0)
        world.slurm.behind_update = lambda: world.slurm.user_cancel(job_id)
        await world.crash(first)
        decision = await world.decided(first)
        job = await world.seen(job_id)
    assert (decision.state, decision.outcome) == (
        DecisionState.ABANDONED,
        "cancelled_by_others",
    )
    assert (job.state, job.restarts) == (JobState.CANCELLED, 0)
    assert world.commands("requeue_hold") == 0


async def test_a_refusal_of_the_kill_ends_the_decision(world: World) -> None:
    job_id = world.slurm.submit(comment=THREE)
    async with world.running():
        first = await world.attempt(job_id, 0)
        world.slurm.fail_next("requeue_hold", SlurmRejected("no", Refusal.NOT_BATCH))
        await world.crash(first)
        decision = await world.decided(first)
    assert (decision.state, decision.outcome, decision.detail) == (
        DecisionState.ABANDONED,
        "refused_by_slurm",
        "no",
    )


async def test_a_permission_that_is_denied_for_a_while_is_waited_for(world: World) -> None:
    job_id = world.slurm.submit(comment=THREE)
    async with world.running():
        first = await world.attempt(job_id, 0)
        for _ in range(3):
            world.slurm.fail_next("requeue_hold", SlurmRejected("no", Refusal.NOT_PERMITTED))
        await world.crash(first)
        assert (await world.decided(first)).outcome == "successor_started"
    assert world.commands("requeue_hold") == 4


async def test_a_reused_id_is_another_job_with_a_budget_of_its_own(world: World) -> None:
    job_id = world.slurm.submit(comment=COMMENT)
    async with world.running():
        first = await world.attempt(job_id, 0)
        world.slurm.user_cancel(job_id)
        before = await world.store.latest_job("memory", job_id)
        assert before is not None
        await world.looks()
        world.slurm._records.clear()
        world.slurm.next_id = int(job_id)
        assert world.slurm.submit(comment=COMMENT) == job_id

        async def second() -> JobRecord | None:
            latest = await world.store.latest_job("memory", job_id)
            return latest if latest and latest.id != before.id else None

        record = await until(second)
        assert record.restarts_before == 0
        await world.crash(first)
        await world.looks()
        assert (await world.seen(job_id)).restarts == 0


async def test_progress_after_the_line_vetoes_the_kill(store: Store, judgement: Judgement) -> None:
    world = World(store, judgement, settle=0.3)
    job_id = world.slurm.submit(comment=THREE)
    async with world.running():
        first = await world.attempt(job_id, 0)
        await world.crash(first)
        world.loop.learn(first.id, [], Pulse("a.log", 5000, now()))
        await world.looks(25)
        assert await store.decision(first.id) is None
        await world.crash(first, offset=9000)
        assert (await world.decided(first)).verb is Verb.REQUEUE


async def test_observe_mode_writes_down_what_it_would_have_done(
    store: Store, judgement: Judgement
) -> None:
    world = World(store, judgement, site=Site(act=False))
    job_id = world.slurm.submit(comment=THREE)
    async with world.running():
        first = await world.attempt(job_id, 0)
        await world.crash(first)
        decision = await world.decided(first)
    assert (decision.verb, decision.state) == (Verb.REQUEUE, DecisionState.OBSERVED)
    assert world.slurm.calls == []


async def test_an_attempt_that_ends_by_a_signal_is_recovered_without_a_log(world: World) -> None:
    job_id = world.slurm.submit(comment=THREE)
    async with world.running():
        first = await world.attempt(job_id, 0)
        world.slurm.finish(job_id, JobState.FAILED, exit_code=139)
        decision = await world.decided(first)
        assert (await world.seen(job_id)).restarts == 1
    assert decision.reason.startswith("CRASH segfault")


async def test_a_pointless_cause_is_stopped_and_not_requeued(world: World) -> None:
    job_id = world.slurm.submit(comment=THREE)
    async with world.running():
        first = await world.attempt(job_id, 0)
        await world.crash(first, cause="oom_gpu", recovery=Recovery.STOP)
        decision = await world.decided(first)
        job = await world.seen(job_id)
    assert (decision.verb, decision.branch) == (Verb.STOP, "pointless")
    assert job.state is JobState.CANCELLED


async def test_who_is_in_a_hurry_does_not_wait_for_the_next_look(
    store: Store, judgement: Judgement
) -> None:
    world = World(store, judgement, poll=3600.0)
    async with world.running():
        await world.loop.looked.wait()
        for count in (2, 3):
            world.loop.hurry()
            await world.looks(count - world.slurm.looks)


async def test_what_is_told_during_a_look_is_looked_for_after_it(
    store: Store, judgement: Judgement
) -> None:
    """The listing that is under way may be older than the news."""
    world = World(store, judgement, poll=3600.0)
    world.slurm.behind_listing = world.loop.hurry
    async with world.running():
        await world.looks(2)


async def test_a_step_that_ends_in_silence_is_a_step(store: Store, judgement: Judgement) -> None:
    world = World(store, judgement)
    world.slurm.fail_next("cluster", AWAY)
    before = world.loop.stepped
    async with world.running():
        await world.loop.looked.wait()
    assert world.loop.stepped > before
