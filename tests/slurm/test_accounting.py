"""Accounting and GPUs, on a Slurm with slurmdbd: what it says of a job that was requeued."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ajrd.errors import SetupError, SlurmUnavailable
from ajrd.model import JobInfo, JobState
from ajrd.recovery.accounting import Accounting
from ajrd.recovery.bookkeeping import Bookkeeping
from ajrd.recovery.tracking import new_job, opened
from ajrd.setup.book import SlurmAccount
from ajrd.setup.host import Host
from ajrd.setup.slurmtools import Tools
from ajrd.setup.steps.slurm import giving
from ajrd.setup.undoing import slurm_account
from ajrd.slurm.accounting import Execution, Sacct
from ajrd.slurm.base import earliest_start
from ajrd.slurm.cli import CliSlurm
from ajrd.store.store import Store
from labcluster.cluster import Lab
from tests.unit.samples import at

#: What a request for GPUs may look like, and what it comes to on nodes with 4 each.
REQUESTS = [
    (("--gres=gpu:2", "-N2"), 4),
    (("--gpus=3",), 3),
    (("--gpus-per-task=1", "-n2"), 2),
    (("--gpus-per-node=h100:1", "-N1"), 1),
    (("-n1",), 0),
]


@pytest.fixture(scope="module", params=["counted", "not counted"])
def gpu_lab(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Lab]:
    """Two nodes with GPUs; Slurm counts these only where slurmdbd runs and it is told to."""
    cluster = Lab(tmp_path_factory.mktemp("gpus") / "lab")
    counted = request.param == "counted"
    tres = {"AccountingStorageTRES": "gres/gpu"} if counted else {}
    cluster.up(nodes=2, cpus=4, gpus=4, accounting=counted, extra=tres)
    yield cluster
    cluster.down()


def submit(lab: Lab, *options: str, script: str = "sleep 600") -> str:
    argv = ("sbatch", "--parsable", "--chdir=/", "-o", "/dev/null", *options, f"--wrap={script}")
    return lab.command(*argv).strip()


async def until_running(slurm: CliSlurm, job_id: str) -> JobInfo:
    async with asyncio.timeout(60):
        while True:
            job = await slurm.job(job_id)
            if job is not None and job.state is JobState.RUNNING:
                return job
            await asyncio.sleep(0.1)


async def requeue(lab: Lab, slurm: CliSlurm, job_id: str) -> None:
    """As ajrd does it: a start within the second of the kill would be ended at once."""
    lab.command("scontrol", "requeuehold", job_id)
    async with asyncio.timeout(60):
        while True:
            job = await slurm.job(job_id)
            assert job is not None
            over = job.state is JobState.PENDING and not job.completing
            if over and datetime.now(UTC) > earliest_start(job):
                break
            await asyncio.sleep(0.1)
    lab.command("scontrol", "update", f"JobId={job_id}", "StartTime=now")
    lab.command("scontrol", "release", job_id)


async def test_the_gpus_of_an_allocation_are_known_whatever_slurm_counts(gpu_lab: Lab) -> None:
    slurm = CliSlurm(str(gpu_lab.conf))
    for options, gpus in REQUESTS:
        job_id = submit(gpu_lab, *options)
        try:
            job = await until_running(slurm, job_id)
            listed = [other for other in await slurm.jobs() if other.job_id == job_id]
            assert (job.gpus, listed[0].gpus) == (gpus, gpus), options
        finally:
            gpu_lab.command("scancel", job_id)


def test_a_user_becomes_an_administrator_and_gets_back_what_it_was(gpu_lab: Lab) -> None:
    if gpu_lab.layout is None or gpu_lab.layout.accounting_port is None:
        with pytest.raises(SetupError, match="sacctmgr"):
            Tools(Host(environ=gpu_lab.env)).level_of("ajrd")
        return
    tools = Tools(Host(environ=gpu_lab.env))
    assert tools.level_of("ajrd") == ""
    for before in ("", "Operator"):
        if before:
            tools.account("add", "user", "ajrd", "account=root", f"adminlevel={before}")
        tools.account(*giving(tools.level_of("ajrd")))
        assert tools.level_of("ajrd") == "Administrator"
        slurm_account(tools, SlurmAccount("ajrd", before))
        assert tools.level_of("ajrd") == before
    slurm_account(tools, SlurmAccount("ajrd", ""))
    tools.reconfigure()


async def test_each_execution_of_a_requeued_job_is_told(gpu_lab: Lab, tmp_path: Path) -> None:
    accounting = Sacct(str(gpu_lab.conf))
    slurm = CliSlurm(str(gpu_lab.conf))
    job_id = submit(gpu_lab, "--job-name=a|b <c>\n1|2|3|4")
    if not gpu_lab.layout or gpu_lab.layout.accounting_port is None:
        with pytest.raises(SlurmUnavailable, match="sacct failed"):
            await accounting.executions([int(job_id)])
        gpu_lab.command("scancel", job_id)
        return
    first = await until_running(slurm, job_id)
    await requeue(gpu_lab, slurm, job_id)
    second = await until_running(slurm, job_id)
    gpu_lab.command("scancel", job_id)
    told: list[Execution] = []
    async with asyncio.timeout(60):
        while len(told) < 2:
            told = await accounting.executions([int(job_id)])
            await asyncio.sleep(0.2)
    told.sort(key=lambda each: each.start)
    assert [each.start for each in told] == [first.start_time, second.start_time]
    assert told[0].end <= told[1].start
    await a_correction(tmp_path, first, told[0])


async def a_correction(folder: Path, seen: JobInfo, told: Execution) -> None:
    """An attempt whose end ajrd saw three seconds late is put right."""
    store = await Store.open(f"sqlite:///{folder}/ajrd.sqlite")
    try:
        job = await store.add_job(new_job(seen, "lab", managed=True, note="", now=at(0)), "seen")
        late = told.end + timedelta(seconds=3)
        attempt = replace(opened(job, seen, at(0)), state="REQUEUED", ended_at=late)
        attempt = await store.save_attempt(attempt, late, "attempt_ended")
        books = Bookkeeping(store, lambda: 0.0, lambda: late)
        await books.turn()
        await Accounting(Told([told]), store, books, lambda: late).round()
        assert (await store.attempts(job.id))[0].ended_at == told.end
    finally:
        await store.close()


class Told:
    """Accounting that has been asked."""

    def __init__(self, found: list[Execution]) -> None:
        self._found = found

    async def executions(self, raw_ids: Iterable[int]) -> list[Execution]:
        return self._found
