"""Everything that takes part: the lab, the database, the services, the watchdog, the users."""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from subprocess import TimeoutExpired
from typing import Any

from ajrd.errors import SlurmUnavailable, StoreUnavailable
from ajrd.model import JobInfo
from ajrd.slurm.cli import CliSlurm
from ajrd.store.address import Address
from ajrd.store.history import JobHistory, read_history
from ajrd.store.read import Reader
from bench.soak.population import Group, Meddling, Plan
from bench.soak.reckoning import Submission
from bench.soak.unit import Unit
from labcluster.cluster import Lab
from labcluster.errors import LabError
from labdemo.service import Service
from tests.database.proxy import Proxy
from tests.database.server import Schema, Server, a_schema

NODES, CPUS = 8, 32
#: Far from the numbers in the names of jobs: a number in a file name means a job.
FIRST_JOB = 100_001
#: What the service is told, seconds. Slow enough for a busy machine, quick for a soak.
TIMEOUT, HOLD_LIMIT, STORE_GRACE = 5.0, 20.0, 20.0
RECOVERY = {
    "hold_limit": HOLD_LIMIT,
    "store_grace": STORE_GRACE,
    "no_progress_limit": 0,
    "backoff": 0,
}


class Scene:
    """The parts, running. ``schema`` None: the one service has an embedded store."""

    def __init__(self, folder: Path, stack: ExitStack, *, mysql: bool, services: int) -> None:
        self.folder = folder
        self.ledgers = _made(folder / "ledgers")
        self.work = _made(folder / "work")
        self.lab = Lab(folder / "lab")
        stack.callback(self.lab.down)
        self.lab.up(NODES, cpus=CPUS, extra={"FirstJobId": str(FIRST_JOB)})
        self.schema = _database(_made(folder / "database"), stack) if mysql else None
        self.proxies = [_proxy(self.schema, stack) for _ in range(services)] if self.schema else []
        self.services = [self._service(i) for i in range(services)]
        self.units = [self._unit(service) for service in self.services]
        self.watchdog = self._watchdog()
        self._slurm = CliSlurm(str(self.lab.conf))
        self.submissions: dict[str, Submission] = {}

    def _service(self, index: int) -> Service:
        sections: dict[str, dict[str, Any]] = {
            "slurm": {"timeout": TIMEOUT},
            "recovery": {"mode": "act", **RECOVERY},
        }
        if self.schema is not None:
            sections["database"] = {**self.schema.section(self.proxies[index].port), "timeout": 5.0}
        folder = _made(self.folder / f"ajrd{index}")
        return Service(folder, self.lab.conf, **sections)

    def _unit(self, service: Service) -> Unit:
        argv = [sys.executable, "-m", "ajrd", "run", "--config", str(service.config)]
        return Unit(service.folder.name, argv, service.log)

    def _watchdog(self) -> Unit:
        argv = [sys.executable, "-m", "ajrd", "watchdog", f"--slurm-conf={self.lab.conf}"]
        argv += [f"--timeout={TIMEOUT}", "--interval=5", "--grace=10"]
        argv += [f"--hold-limit={HOLD_LIMIT}"]
        return Unit("watchdog", argv, self.folder / "watchdog.log")

    async def jobs(self) -> list[JobInfo]:
        """What Slurm shows, as soon as it answers."""
        while True:
            try:
                return await self._slurm.jobs()
            except SlurmUnavailable:
                await asyncio.sleep(0.2)

    @property
    def controller_log(self) -> Path:
        """What slurmctld says."""
        return self.folder / "lab" / "log" / "slurmctld.log"

    # the store

    @property
    def address(self) -> Address:
        """Of the store, past every proxy."""
        if self.schema is not None:
            return self.schema.address()
        return Address(f"sqlite:///{self.services[0].folder}/ajrd.sqlite")

    def leader(self) -> Unit:
        """The service that acts; any, if nobody can tell."""
        pid = None
        with suppress(StoreUnavailable), self._reader() as reader:
            lease = reader.lease()
            pid = lease.pid if lease else None
        return next((u for u in self.units if u.pid == pid), random.choice(self.units))  # noqa: S311

    def histories(self) -> list[JobHistory]:
        """All that the store knows; raises StoreUnavailable."""
        with self._reader() as reader:
            known = reader.recent_jobs(100_000, None, None)
            return [read_history(reader, job) for job in known]

    @contextmanager
    def _reader(self) -> Iterator[Reader]:
        reader = Reader(self.address)
        try:
            yield reader
        finally:
            reader.close()

    # the users

    async def submit_all(self, groups: list[Group]) -> None:
        """Submits each group at its time, and meddles with the jobs at theirs."""
        async with asyncio.TaskGroup() as tasks:
            for group in groups:
                tasks.create_task(self._submit_group(group, tasks))

    async def _submit_group(self, group: Group, tasks: asyncio.TaskGroup) -> None:
        await asyncio.sleep(group.after)
        for plan in group.plans:
            script = self.work / f"{plan.number}.sh"
            script.write_text(plan.script(self.ledgers))
            job = await self._submit(plan, script)
            self.submissions[job.job_id] = job
            if plan.meddling is not None:
                tasks.create_task(self._meddle(job, plan.meddling))

    async def _submit(self, plan: Plan, script: Path) -> Submission:
        """Until Slurm takes it."""
        argv = ("sbatch", "--parsable", f"--chdir={self.work}", *plan.options, str(script))
        while True:
            at = time.time()
            with suppress(LabError, TimeoutExpired):
                return Submission(plan, (await self._run(*argv)).strip(), at)
            await asyncio.sleep(1)

    async def _meddle(self, job: Submission, meddling: Meddling) -> None:
        """Whether or not Slurm hears it, the job is no longer ajrd's alone.

        Slurm obeys a cancellation of a job that has ended, too, and keeps no trace of it.
        """
        await asyncio.sleep(meddling.after)
        job = self.submissions[job.job_id] = replace(job, meddled_at=time.time())
        with suppress(LabError, TimeoutExpired, SlurmUnavailable):
            seen = await self._slurm.job(job.job_id)
            await self._run(*meddling.command, job.job_id)
            if seen and not seen.state.ended and meddling.command[0] == "scancel":
                self.submissions[job.job_id] = replace(job, cancelled_at=time.time())

    async def _run(self, *argv: str) -> str:
        return await asyncio.to_thread(self.lab.command, *argv, timeout=30.0)


def _database(folder: Path, stack: ExitStack) -> Schema:
    server = Server(folder)

    def end() -> None:
        server.daemon.end()

    stack.callback(end)
    return a_schema(server, folder)


def _proxy(schema: Schema, stack: ExitStack) -> Proxy:
    return stack.enter_context(Proxy(schema.server.port))


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
