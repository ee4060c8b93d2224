"""A het job on a real Slurm, by pyslurm where it fits and by the commands."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from ajrd.errors import SlurmRejected
from ajrd.model import HoldBy, JobInfo, JobState
from ajrd.slurm.base import JobUpdate, Refusal
from ajrd.slurm.cli import CliSlurm
from ajrd.slurm.select import connect
from tests.conftest import Cluster
from tests.slurm.drivers import ClusterDriver, running, until

SLEEP = "--wrap=srun --het-group=0,1 sleep 300"


@pytest.fixture
async def driver(lab: Cluster, tmp_path: Path) -> AsyncIterator[ClusterDriver]:
    slurm = await connect(str(lab.conf))
    driver = ClusterDriver(slurm, lab.env, tmp_path)
    yield driver
    driver.end()
    await slurm.close()


async def submitted(driver: ClusterDriver, *options: str) -> str:
    """A running het job of two components on three nodes."""
    argv = ("sbatch", "--parsable", "-N1", *options, SLEEP)
    job_id = driver.adopt(driver.command(*argv).strip())
    await running(driver, job_id)
    await until_steps(driver, job_id)
    return job_id


async def until_steps(driver: ClusterDriver, job_id: str) -> None:
    while len(await driver.slurm.steps(job_id)) < 3:
        assert await driver.seen(job_id)


async def test_it_is_one_job_with_the_steps_of_all_components(driver: ClusterDriver) -> None:
    job_id = await submitted(driver, ":", "-N2")
    listing = [job for job in await driver.slurm.jobs() if job.het_job_id == int(job_id)]
    assert [job.job_id for job in listing] == [job_id]
    assert await driver.slurm.job(f"{job_id}+1") == listing[0]
    steps = await driver.slurm.steps(job_id)
    second = str(int(job_id) + 1)
    assert {(s.job_id, s.step_id) for s in steps} == {
        (job_id, "batch"),
        (job_id, "0"),
        (second, "0"),
    }


async def test_requeue_update_and_release_mean_the_whole(
    driver: ClusterDriver, lab: Cluster
) -> None:
    job_id = await submitted(driver, "--exclude=n6", ":", "-N2", "--exclude=n7")
    await requeue_hold(driver, job_id)
    held = await until(
        driver, job_id, lambda job: job.held is HoldBy.REQUEUE_HOLD and not job.completing
    )
    assert (held.state, held.restarts) == (JobState.PENDING, 1)
    start = held.submit_time + timedelta(seconds=1)  # a kill revokes credentials of its second
    change = JobUpdate(start_at=start, exclude_nodes="n8", admin_comment="ours")
    await driver.slurm.update(job_id, change)
    parts = await components(lab, job_id)
    assert [part.exclude_nodes for part in parts] == ["n[6,8]", "n[7-8]"]
    assert [part.admin_comment for part in parts] == ["ours", "ours"]
    assert (await until(driver, job_id, lambda job: True)).exclude_nodes == "n8"
    await driver.slurm.release(job_id)
    assert (await running(driver, job_id)).restarts == 1
    assert [part.state for part in await components(lab, job_id)] == [JobState.RUNNING] * 2


async def requeue_hold(driver: ClusterDriver, job_id: str) -> None:
    """By the second try, where a running het job must be ended first."""
    try:
        await driver.slurm.requeue_hold(job_id)
    except SlurmRejected as error:
        if error.code is not Refusal.WRONG_STATE:
            raise
        over = await until(driver, job_id, lambda job: not job.alive)
        assert over.state is JobState.FAILED
        await driver.slurm.requeue_hold(job_id)


async def components(lab: Cluster, job_id: str) -> list[JobInfo]:
    """The records of Slurm."""
    listing = await CliSlurm(str(lab.conf)).jobs()
    return sorted(
        (job for job in listing if job.het_job_id == int(job_id)), key=lambda job: job.raw_id
    )
