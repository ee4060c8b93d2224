"""What the contract tests need from a Slurm beyond its protocol: submit, end, hold, wait.

One driver has a Slurm in memory with a clock of its own, the other a real cluster; the tests
know neither.
"""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

from ajrd.model import JobInfo, JobState
from ajrd.slurm.base import Slurm
from ajrd.slurm.memory import MemorySlurm

#: Seconds of real time that a condition may take on a busy machine.
PATIENCE = 45.0

#: A job that runs until its file appears, and ends with the exit code that stands in it.
SCRIPT = """#!/bin/bash
end="{folder}/end.$SLURM_JOB_ID"
until [ -e "$end" ]; do sleep 0.05; done
code=$(cat "$end"); rm -f "$end"; exit "$code"
"""


class Driver(Protocol):
    """A Slurm and the hands of its users."""

    slurm: Slurm

    async def submit(
        self,
        *,
        name: str = "job",
        comment: str = "",
        hold: bool = False,
        requeue: bool = True,
        array: tuple[int, ...] = (),
    ) -> str:
        """Submit a job that runs until :meth:`fail`; an array goes by its first id."""

    async def fail(self, job_id: str, exit_code: int) -> None:
        """Let a running job end by itself."""

    async def user_hold(self, job_id: str) -> None:
        """``scontrol hold`` by the owner."""

    async def seen(self, job_id: str) -> JobInfo | None:
        """Let a little time pass, then look."""

    async def time_passes(self, seconds: float) -> bool:
        """Let ``seconds`` pass; False if that is not possible."""


async def until(
    driver: Driver,
    job_id: str,
    condition: Callable[[JobInfo], bool],
    seen: list[JobInfo] | None = None,
) -> JobInfo:
    """The first view of a job that satisfies ``condition``; all views go to ``seen``."""
    deadline = time.monotonic() + PATIENCE
    while True:
        job = await driver.seen(job_id)
        if seen is not None and job is not None:
            seen.append(job)
        if job is not None and condition(job):
            return job
        assert time.monotonic() < deadline, f"job {job_id} stays at {job}"


async def running(driver: Driver, job_id: str) -> JobInfo:
    """The job once it runs."""
    return await until(driver, job_id, lambda job: job.state is JobState.RUNNING)


class MemoryDriver:
    """A :class:`MemorySlurm`; every look lets 0.1 s pass on its clock."""

    def __init__(self) -> None:
        self.time = datetime(2026, 1, 1, tzinfo=UTC)
        self.memory = MemorySlurm(lambda: self.time)
        self.slurm: Slurm = self.memory

    async def submit(
        self,
        *,
        name: str = "job",
        comment: str = "",
        hold: bool = False,
        requeue: bool = True,
        array: tuple[int, ...] = (),
    ) -> str:
        return self.memory.submit(name, comment=comment, hold=hold, requeue=requeue, array=array)

    async def fail(self, job_id: str, exit_code: int) -> None:
        self.memory.finish(job_id, JobState.FAILED, exit_code)

    async def user_hold(self, job_id: str) -> None:
        self.memory.user_hold(job_id)

    async def seen(self, job_id: str) -> JobInfo | None:
        self.time += timedelta(seconds=0.1)
        self.memory.schedule()
        return await self.slurm.job(job_id)

    async def time_passes(self, seconds: float) -> bool:
        self.time += timedelta(seconds=seconds)
        return True


class ClusterDriver:
    """A real cluster by its commands; ``env`` selects it, ``folder`` holds the jobs' files."""

    def __init__(self, slurm: Slurm, env: dict[str, str], folder: Path) -> None:
        self.slurm = slurm
        self._env = env
        self._folder = folder
        self._submitted: list[str] = []

    async def submit(
        self,
        *,
        name: str = "job",
        comment: str = "",
        hold: bool = False,
        requeue: bool = True,
        array: tuple[int, ...] = (),
    ) -> str:
        script = self._folder / "contract.sh"
        script.write_text(SCRIPT.format(folder=self._folder))
        options = ["--parsable", f"--job-name={name}", "--requeue" if requeue else "--no-requeue"]
        options += ["--hold"] if hold else []
        options += [f"--comment={comment}"] if comment else []
        options += [f"--array={','.join(map(str, array))}"] if array else []
        return self.adopt(self.command("sbatch", *options, str(script)).strip())

    def adopt(self, job_id: str) -> str:
        """Take care that a job is cancelled at the end."""
        self._submitted.append(job_id)
        return job_id

    async def fail(self, job_id: str, exit_code: int) -> None:
        job = await self.slurm.job(job_id)
        assert job is not None
        waiting = self._folder / "end.tmp"
        waiting.write_text(str(exit_code))
        waiting.rename(self._folder / f"end.{job.raw_id}")

    async def user_hold(self, job_id: str) -> None:
        self.command("scontrol", "uhold", job_id)

    async def seen(self, job_id: str) -> JobInfo | None:
        await asyncio.sleep(0.05)
        return await self.slurm.job(job_id)

    async def time_passes(self, seconds: float) -> bool:
        return False

    def command(self, *argv: str) -> str:
        """Run one command on the cluster and return what it prints."""
        done = subprocess.run(
            argv, env=self._env, cwd=self._folder, capture_output=True, text=True, check=False,
            timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, f"{argv}: {done.stderr}"
        return done.stdout

    def end(self) -> None:
        """Cancel what was submitted, dying or not."""
        for job_id in self._submitted:
            for signal in ((), ("--signal=KILL", "--full")):
                subprocess.run(
                    ["scancel", *signal, job_id], env=self._env, check=False, capture_output=True,
                    timeout=60,
                )  # fmt: skip
