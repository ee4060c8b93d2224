"""The controls that the in-memory Slurm has beyond the contract of every Slurm."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ajrd.errors import SlurmUnavailable
from ajrd.model import HoldBy, JobState
from ajrd.slurm.memory import MemorySlurm


class Clock:
    def __init__(self) -> None:
        self.time = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.time

    def pass_(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def slurm(clock: Clock) -> MemorySlurm:
    return MemorySlurm(clock)


async def test_a_lost_answer_leaves_the_command_done(slurm: MemorySlurm) -> None:
    job_id = slurm.submit()
    slurm.start(job_id)
    slurm.fail_next("requeue_hold", SlurmUnavailable("lost"), after=True)
    with pytest.raises(SlurmUnavailable):
        await slurm.requeue_hold(job_id)
    job = await slurm.job(job_id)
    assert job is not None
    assert (job.restarts, job.held) == (1, HoldBy.REQUEUE_HOLD)


async def test_a_lost_command_leaves_the_job_alone(slurm: MemorySlurm) -> None:
    job_id = slurm.submit()
    slurm.start(job_id)
    slurm.fail_next("requeue_hold", SlurmUnavailable("lost"))
    with pytest.raises(SlurmUnavailable):
        await slurm.requeue_hold(job_id)
    job = await slurm.job(job_id)
    assert job is not None
    assert (job.restarts, job.state) == (0, JobState.RUNNING)
    await slurm.requeue_hold(job_id)


async def test_a_held_job_does_not_start(slurm: MemorySlurm) -> None:
    job_id = slurm.submit(hold=True)
    slurm.schedule()
    with pytest.raises(ValueError, match="cannot start"):
        slurm.start(job_id)


async def test_a_requeued_job_starts_after_121_seconds(slurm: MemorySlurm, clock: Clock) -> None:
    job_id = slurm.submit()
    slurm.start(job_id)
    slurm.admin_requeue(job_id)
    clock.pass_(120)
    slurm.schedule()
    waiting = await slurm.job(job_id)
    clock.pass_(2)
    slurm.schedule()
    started = await slurm.job(job_id)
    assert waiting is not None
    assert started is not None
    assert (waiting.state, started.state) == (JobState.PENDING, JobState.RUNNING)


async def test_processes_die_before_a_job_is_over(slurm: MemorySlurm, clock: Clock) -> None:
    slurm.kill_time = timedelta(seconds=30)
    job_id = slurm.submit()
    slurm.start(job_id)
    slurm.user_cancel(job_id)
    dying = await slurm.job(job_id)
    clock.pass_(31)
    over = await slurm.job(job_id)
    assert dying is not None
    assert over is not None
    assert (dying.completing, over.completing) == (True, False)
    assert dying.state is over.state is JobState.CANCELLED


async def test_an_id_can_come_again_after_the_purge(slurm: MemorySlurm, clock: Clock) -> None:
    first = slurm.submit("old")
    slurm.start(first)
    slurm.finish(first)
    clock.pass_(400)
    slurm.next_id = int(first)
    assert slurm.submit("new") == first
    job = await slurm.job(first)
    assert job is not None
    assert job.name == "new"


async def test_acting_calls_are_listed_and_looks_are_not(slurm: MemorySlurm) -> None:
    job_id = slurm.submit()
    await slurm.job(job_id)
    await slurm.hold(job_id)
    await slurm.release(job_id)
    assert slurm.calls == [("hold", job_id), ("release", job_id)]
