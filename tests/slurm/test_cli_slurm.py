"""What only the commands of a real Slurm can show: steps, a controller that is away, dying jobs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ajrd.errors import SlurmUnavailable
from ajrd.model import JobInfo, JobState, StepInfo
from ajrd.slurm.cli import CliSlurm
from tests.slurm.drivers import ClusterDriver, running, until

#: Ends only by KILL: what a requeue or a cancellation has to wait for.
STUBBORN = "trap '' TERM; echo deaf; for i in $(seq 600); do sleep 0.1; done"


@pytest.fixture
def cluster(lab: Any, tmp_path: Path) -> Iterator[ClusterDriver]:
    driver = ClusterDriver(CliSlurm(str(lab.conf)), lab.env, tmp_path)
    yield driver
    driver.end()


def submitted(cluster: ClusterDriver, *options: str) -> str:
    return cluster.adopt(cluster.command("sbatch", "--parsable", *options).strip())


async def steps_of(cluster: ClusterDriver, job_id: str, count: int) -> list[StepInfo]:
    for _ in range(400):
        await cluster.seen(job_id)
        steps = await cluster.slurm.steps(job_id)
        if len(steps) >= count:
            return steps
    raise AssertionError(f"job {job_id} has only the steps {steps}")


async def test_steps_name_their_srun_whatever_their_own_name_says(cluster: ClusterDriver) -> None:
    name = "two\n   SrunHost:Pid=evil:1\nStepId=1.0"
    job_id = submitted(cluster, "-N2", "-n2", f"--wrap=exec srun -n2 -J '{name}' sleep 60")
    batch, step = sorted(
        await steps_of(cluster, job_id, 2), key=lambda each: each.step_id, reverse=True
    )
    assert (batch.step_id, batch.srun_pid) == ("batch", 0)
    assert (step.step_id, step.name, step.tasks) == ("0", name, 2)
    assert step.srun_host != "evil"
    command = Path(f"/proc/{step.srun_pid}/cmdline").read_bytes()
    assert command.startswith(b"srun\0")


async def stubborn(cluster: ClusterDriver) -> str:
    """A job that takes no notice of SIGTERM any more."""
    job_id = submitted(cluster, "--time=5", f"--wrap={STUBBORN}")
    log = Path((await running(cluster, job_id)).std_out)
    await until(cluster, job_id, lambda _job: log.exists() and "deaf" in log.read_text())
    return job_id


async def test_a_job_that_is_requeued_while_it_dies_is_pending(cluster: ClusterDriver) -> None:
    job_id = await stubborn(cluster)
    await cluster.slurm.requeue(job_id)
    views: list[JobInfo] = []
    await until(cluster, job_id, lambda job: not job.completing, views)
    assert {view.state for view in views} == {JobState.PENDING}
    assert {view.restarts for view in views} == {1}


async def test_a_job_that_is_cancelled_while_it_dies_is_cancelled(cluster: ClusterDriver) -> None:
    job_id = await stubborn(cluster)
    await cluster.slurm.cancel(job_id)
    views: list[JobInfo] = []
    await until(cluster, job_id, lambda job: job.completing, views)
    assert views[-1].state is JobState.CANCELLED


async def test_het_components_are_told_apart(cluster: ClusterDriver) -> None:
    leader = submitted(cluster, "--hold", "-n1", ":", "-n1", "--wrap=true")
    first, second = await cluster.slurm.job(f"{leader}+0"), await cluster.slurm.job(f"{leader}+1")
    assert first is not None
    assert second is not None
    assert first.raw_id == int(leader) == first.het_job_id == second.het_job_id
    assert second.raw_id != first.raw_id


async def test_an_interactive_job_has_no_output_file(cluster: ClusterDriver, lab: Any) -> None:
    srun = await asyncio.create_subprocess_exec("srun", "-J", "shell", "sleep", "60", env=lab.env)
    names: dict[str, JobInfo] = {}
    try:
        for _ in range(400):
            names = {job.name: job for job in await cluster.slurm.jobs() if not job.state.ended}
            if "shell" in names and names["shell"].state is JobState.RUNNING:
                break
    finally:
        srun.terminate()
        await srun.wait()
    assert (names["shell"].batch, names["shell"].std_out) == (False, "")


async def test_a_controller_that_is_away_is_unknown_not_empty(lab: Any, tmp_path: Path) -> None:
    conf = tmp_path / "slurm.conf"
    lines = Path(lab.conf).read_text().splitlines()
    moved = [line for line in lines if not line.lower().startswith("slurmctldport")]
    conf.write_text("\n".join([*moved, "SlurmctldPort=1"]) + "\n")
    slurm = CliSlurm(str(conf), timeout=30)
    with pytest.raises(SlurmUnavailable, match="slurmctld runs"):
        await slurm.job("1")
    with pytest.raises(SlurmUnavailable):
        await slurm.requeue_hold("1")


async def test_munge_that_is_away_is_unknown_not_empty(lab: Any, tmp_path: Path) -> None:
    conf = tmp_path / "slurm.conf"
    lines = Path(lab.conf).read_text().splitlines()
    moved = [line for line in lines if not line.lower().startswith("authinfo")]
    conf.write_text("\n".join([*moved, f"AuthInfo=socket={tmp_path}/none"]) + "\n")
    with pytest.raises(SlurmUnavailable, match="munge"):
        await CliSlurm(str(conf), timeout=30).jobs()
