"""pyslurm beyond the contract: it says what the commands say, and never stops the service."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from ajrd.errors import SlurmRejected, SlurmUnavailable
from ajrd.model import JobInfo, JobState, StepInfo
from ajrd.slurm.base import JobUpdate, Refusal
from ajrd.slurm.cli import CliSlurm
from ajrd.slurm.native import PyslurmSlurm, native_available
from tests.slurm.drivers import ClusterDriver, running, until


@pytest.fixture
async def cluster(lab: Any, tmp_path: Path) -> AsyncIterator[ClusterDriver]:
    conf = str(lab.conf)
    obstacle = await native_available((await CliSlurm(conf).cluster()).version, conf)
    if obstacle:
        pytest.skip(obstacle)
    slurm = PyslurmSlurm(conf)
    driver = ClusterDriver(slurm, lab.env, tmp_path)
    yield driver
    driver.end()
    await slurm.close()


async def both(cluster: ClusterDriver, lab: Any) -> tuple[list[JobInfo], list[JobInfo]]:
    """What pyslurm and the commands say, when nothing changed in between."""
    commands = CliSlurm(str(lab.conf))
    for _ in range(40):
        before = await commands.jobs()
        seen = await cluster.slurm.jobs()
        if await commands.jobs() == before:
            return seen, before
    raise AssertionError("the jobs never keep still")


async def test_pyslurm_and_the_commands_agree(cluster: ClusterDriver, lab: Any) -> None:
    plain = await cluster.submit(name="two\nlines", comment='x|,"é"')
    broken = [await cluster.submit() for _ in range(3)]
    await cluster.submit(array=(0, 3, 4, 7), hold=True)
    held = await cluster.submit(name="caf\udce9", hold=True)
    dependent = ("--hold", "--wrap=true", f"--dependency=afterany:{plain}?afternotok:{held}")
    cluster.adopt(cluster.command("sbatch", "--parsable", *dependent).strip())
    het = cluster.command("sbatch", "--parsable", "--hold", "-n1", ":", "-n1", "--wrap=true")
    cluster.adopt(het.strip())
    for job_id, code in zip(broken, (0, 139, 1), strict=True):
        await running(cluster, job_id)
        await cluster.fail(job_id, code)
        await until(cluster, job_id, lambda job: job.state.ended and not job.completing)
    await running(cluster, plain)
    native, commands = await both(cluster, lab)
    assert native == commands
    assert {job.exit_code for job in native if job.state is JobState.FAILED} >= {1, 139}
    assert "caf\udce9" in {job.name for job in native}
    assert await cluster.slurm.cluster() == await CliSlurm(str(lab.conf)).cluster()


async def test_pyslurm_and_the_commands_agree_about_steps(cluster: ClusterDriver, lab: Any) -> None:
    wrap = "--wrap=srun -n2 -J 'a b' --output=%x-%t.out sleep 60"
    job_id = cluster.adopt(cluster.command("sbatch", "--parsable", "-N2", "-n2", wrap).strip())
    native: list[StepInfo] = []
    for _ in range(400):
        await cluster.seen(job_id)
        native = await cluster.slurm.steps(job_id)
        if len(native) == 2:
            break
    commands = await CliSlurm(str(lab.conf)).steps(job_id)
    by_id = {step.step_id: step for step in commands}
    assert {step.step_id: step for step in native} == by_id
    assert set(by_id) == {"0", "batch"}


async def test_an_empty_or_undecodable_text_is_written_all_the_same(
    cluster: ClusterDriver,
) -> None:
    job_id = await cluster.submit(hold=True)
    for text in ("caf\udce9", ""):
        await cluster.slurm.update(job_id, JobUpdate(admin_comment=text))
        job = await cluster.slurm.job(job_id)
        assert job is not None
        assert job.admin_comment == text


@asynccontextmanager
async def hanging(lab: Any) -> AsyncIterator[None]:
    """slurmctld accepts connections and says nothing."""
    controller = lab.daemon("slurmctld")
    controller.tell(signal.SIGSTOP)
    try:
        yield
    finally:
        controller.tell(signal.SIGCONT)


async def longest_pause(until_set: asyncio.Event) -> float:
    """The longest time that the event loop let a task wait that wanted to go on after 10 ms."""
    longest = 0.0
    while not until_set.is_set():
        began = time.monotonic()
        await asyncio.sleep(0.01)
        longest = max(longest, time.monotonic() - began)
    return longest


async def test_a_controller_that_hangs_stops_nothing_else(cluster: ClusterDriver, lab: Any) -> None:
    slurm = PyslurmSlurm(str(lab.conf), timeout=2.0)
    await slurm.cluster()
    over = asyncio.Event()
    pause = asyncio.create_task(longest_pause(over))
    async with hanging(lab):
        with pytest.raises(SlurmUnavailable, match=r"within 2 s"):
            await slurm.jobs()
        over.set()
        assert await pause < 1.5
    assert (await slurm.cluster()).name
    await slurm.close()


async def test_what_is_cancelled_before_its_turn_is_never_done(
    cluster: ClusterDriver, lab: Any
) -> None:
    job_id = await cluster.submit()
    await running(cluster, job_id)
    async with hanging(lab):
        asked = asyncio.create_task(cluster.slurm.jobs())
        await asyncio.sleep(0.1)
        waiting = asyncio.create_task(cluster.slurm.requeue(job_id))
        await asyncio.sleep(0.1)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    assert job_id in {job.job_id for job in await asked}
    job = await cluster.slurm.job(job_id)
    assert job is not None
    assert (job.state, job.restarts) == (JobState.RUNNING, 0)


async def test_a_worker_that_dies_is_replaced(cluster: ClusterDriver, lab: Any) -> None:
    slurm = PyslurmSlurm(str(lab.conf))
    await slurm.cluster()
    worker = slurm._ask._worker
    assert worker is not None
    worker.kill()
    with suppress(SlurmUnavailable):
        await slurm.cluster()
    assert (await slurm.cluster()).name
    await slurm.close()


async def test_a_call_that_is_cancelled_does_not_answer_the_next(cluster: ClusterDriver) -> None:
    await cluster.submit(hold=True)
    for wait in (0.0, 0.001, 0.005, 0.02):
        task = asyncio.create_task(cluster.slurm.jobs())
        await asyncio.sleep(wait)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        assert (await cluster.slurm.cluster()).version[:2] == (25, 11)


async def test_a_controller_that_is_away_is_unknown_not_empty(
    cluster: ClusterDriver, lab: Any, tmp_path: Path
) -> None:
    conf = tmp_path / "slurm.conf"
    lines = Path(lab.conf).read_text().splitlines()
    moved = [line for line in lines if not line.lower().startswith("slurmctldport")]
    conf.write_text("\n".join([*moved, "SlurmctldPort=1"]) + "\n")
    slurm = PyslurmSlurm(str(conf), timeout=30)
    with pytest.raises(SlurmUnavailable, match="slurmctld runs"):
        await slurm.jobs()
    await slurm.close()


async def test_an_array_is_no_unknown_job(cluster: ClusterDriver) -> None:
    """By its number, which is that of one of its tasks, its steps can still be asked for."""
    array = await cluster.submit(array=(1, 2))
    await running(cluster, f"{array}_2")
    first = await running(cluster, f"{array}_1")
    job = await cluster.slurm.job(str(first.raw_id))
    assert job is not None
    assert job.job_id == f"{array}_1"
    for name in (array, f"{array}_1", str(first.raw_id)):
        assert "batch" in {step.step_id for step in await cluster.slurm.steps(name)}
    with pytest.raises(SlurmRejected) as caught:
        await cluster.slurm.requeue(f"{array}_9")
    assert caught.value.code == Refusal.UNKNOWN_JOB
