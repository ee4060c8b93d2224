"""Slurm through its own commands: works with every version, needs no library.

Reading one job costs two short ``squeue`` calls at once (about 5 ms), polled in the hot path of a
recovery. Slurm 23.11 and later say everything in ``squeue --json``; 22.05 hides there what is
completing and ignores ``-j``, so listings with a random separator are read instead.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from ajrd.errors import SlurmRejected, SlurmUnavailable
from ajrd.model import HoldBy, JobInfo, StepInfo
from ajrd.slurm import documents, parse
from ajrd.slurm.base import ClusterInfo, JobUpdate, Refusal
from ajrd.slurm.identity import is_job_id
from ajrd.slurm.process import Finished, environment, run
from ajrd.slurm.refusals import as_error, unknown_job

T = TypeVar("T")

#: From here on ``squeue --json`` honours ``-j`` and lists state flags (data_parser v0.0.40).
FULL_JSON = (23, 11, 0)
#: Steps of one job whose srun is looked up with a command of its own.
MAX_SRUN_LOOKUPS = 16
#: Jobs that one command is asked about by their numbers; for more, all are listed.
MAX_JOB_IDS = 1000


class CliSlurm:
    """The :class:`~ajrd.slurm.base.Slurm` protocol by ``squeue``, ``scontrol`` and ``scancel``.

    ``conf`` is the path of slurm.conf (default: the environment's, then the built-in one),
    ``bin_dir`` where the commands are (default: PATH), ``timeout`` the limit of one command in s.
    """

    def __init__(
        self, conf: str | None = None, bin_dir: str | None = None, timeout: float = 10.0
    ) -> None:
        self._bin_dir = bin_dir
        self._timeout = timeout
        self._env = environment(os.environ, conf)
        self._version: tuple[int, int, int] | None = None

    async def cluster(self) -> ClusterInfo:
        """Name, version and the settings that matter here."""
        done = await self._read("scontrol", "show", "config")
        info = _understood("scontrol show config", lambda: parse.cluster_from_config(done.out))
        self._version = info.version
        return info

    async def jobs(self) -> list[JobInfo]:
        """Every job that slurmctld knows."""
        return await self._list()

    async def job(self, job_id: str) -> JobInfo | None:
        """One job by its name, or by the raw id of an array task."""
        if not is_job_id(job_id):
            return None
        return _pick(await self.some([job_id.partition("_[")[0]]), job_id)

    async def some(self, job_ids: Sequence[str]) -> list[JobInfo]:
        """The records that ``job_ids`` mean, as far as slurmctld knows them, by one command."""
        if len(job_ids) > MAX_JOB_IDS:
            return await self._list()
        try:
            return await self._list("-j", ",".join(job_ids))
        except SlurmRejected:
            return []

    async def _list(self, *selection: str) -> list[JobInfo]:
        if self._version is None:
            await self.cluster()
        if self._version is not None and self._version >= FULL_JSON:
            done = await self._read("squeue", "-t", "all", *selection, "--json")
            return _understood("squeue --json", lambda: documents.jobs_from_json(done.out))
        return await self._list_by_fields(*selection)

    async def _list_by_fields(self, *selection: str) -> list[JobInfo]:
        sep = f"<{secrets.token_hex(12)}>"
        squeue = ("squeue", "--noheader", "--all", "--array", "-t", "all", *selection)
        fields, excluded = await asyncio.gather(
            self._read(*squeue, "-O", parse.long_format(parse.JOB_FIELDS, sep)),
            self._read(*squeue, "-o", f"%A{sep}%x{sep}"),
        )
        jobs = _understood("squeue", lambda: _jobs(fields.out, excluded.out, sep))
        if not any(job.held is HoldBy.REQUEUE_HOLD for job in jobs):
            return jobs
        dump = await self._read("squeue", "--json")
        held = _understood("squeue --json", lambda: documents.admin_held(dump.out))
        return documents.with_admin_holds(jobs, held)

    async def steps(self, job_id: str) -> list[StepInfo]:
        """The running steps of one job; none for a job that is pending, over or unknown."""
        if self._version is None:
            await self.cluster()
        if self._version is not None and self._version >= FULL_JSON:
            return await self._steps_by_json(job_id)
        sep = f"<{secrets.token_hex(12)}>"
        form = parse.long_format(parse.STEP_FIELDS, sep)
        done = await self._ask_steps("squeue", "-h", "-s", "-j", _checked(job_id), "-O", form)
        if done is None:
            return []
        steps = _understood("squeue -s", lambda: parse.steps_from_listing(done.out, sep, job_id))
        found = await asyncio.gather(*map(self._with_srun, steps[:MAX_SRUN_LOOKUPS]))
        return [*found, *steps[MAX_SRUN_LOOKUPS:]]

    async def _steps_by_json(self, job_id: str) -> list[StepInfo]:
        done = await self._ask_steps("scontrol", "show", "step", _checked(job_id), "--json")
        if done is None:
            return []
        return _understood(
            "scontrol show step", lambda: documents.steps_from_json(done.out, job_id)
        )

    async def _ask_steps(self, *argv: str) -> Finished | None:
        done = await self._run(*argv)
        text = done.err + done.out
        if done.code and (unknown_job(text) or "not found" in text):
            return None
        return _accepted(argv, done)

    async def _with_srun(self, step: StepInfo) -> StepInfo:
        if not step.step_id.isdigit():
            return step
        done = await self._run("scontrol", "show", "step", f"{step.job_id}.{step.step_id}")
        host, pid = parse.srun_process(done.out) if done.code == 0 else ("", 0)
        return replace(step, srun_host=host, srun_pid=pid)

    async def requeue_hold(self, job_id: str) -> None:
        """``scontrol requeuehold``."""
        await self._ask("scontrol", "requeuehold", _checked(job_id))

    async def requeue(self, job_id: str) -> None:
        """``scontrol requeue``."""
        await self._ask("scontrol", "requeue", _checked(job_id))

    async def update(self, job_id: str, change: JobUpdate) -> None:
        """One ``scontrol update``; nothing is run if there is nothing to change."""
        if change != JobUpdate():
            await self._ask("scontrol", "update", f"JobId={_checked(job_id)}", *change.words())

    async def hold(self, job_id: str) -> None:
        """``scontrol hold``."""
        await self._ask("scontrol", "hold", _checked(job_id))

    async def release(self, job_id: str) -> None:
        """``scontrol release``."""
        await self._ask("scontrol", "release", _checked(job_id))

    async def cancel(self, job_id: str) -> None:
        """``scancel``, which exits with 0 for unknown jobs and tells only when verbose."""
        done = await self._run("scancel", "-v", _checked(job_id))
        if done.code or unknown_job(done.err):
            raise as_error(f"scancel {job_id}", done.err)

    async def end_script(self, job_id: str) -> None:
        """Kill the batch script of a job and nothing else: the job ends as FAILED."""
        await self._ask("scancel", "--batch", "--signal=KILL", _checked(job_id))

    async def close(self) -> None:
        """Nothing is kept open between calls."""

    async def _read(self, *argv: str) -> Finished:
        """The answer to a question. Only that a job is not known is news; no other refusal is."""
        try:
            return await self._ask(*argv)
        except SlurmRejected as error:
            if error.code == Refusal.UNKNOWN_JOB:
                raise
            raise SlurmUnavailable(str(error)) from error

    async def _ask(self, *argv: str) -> Finished:
        return _accepted(argv, await self._run(*argv))

    async def _run(self, *argv: str) -> Finished:
        command = os.path.join(self._bin_dir, argv[0]) if self._bin_dir else argv[0]
        return await run((command, *argv[1:]), self._env, self._timeout)


def _accepted(argv: tuple[str, ...], done: Finished) -> Finished:
    if done.code:
        raise as_error(" ".join(argv[:3])[:120], done.err or done.out)
    return done


def _checked(job_id: str) -> str:
    """``job_id`` if it is one: nothing else may become an argument of a command."""
    if not is_job_id(job_id):
        raise SlurmRejected(f"{job_id!r} is no job id", Refusal.UNKNOWN_JOB)
    return job_id


def _jobs(fields: str, excluded: str, sep: str) -> list[JobInfo]:
    nodes = parse.excluded_nodes(excluded, sep)
    return [
        parse.job_from_listing(record, nodes.get(int(record["JobID"]), ""))
        for record in parse.array_records_merged(parse.records(fields, parse.JOB_FIELDS, sep))
    ]


def _pick(listing: list[JobInfo], job_id: str) -> JobInfo | None:
    """The job that is called so, or has that raw id, or is among the pending tasks of a record."""
    array, _, task = job_id.partition("_")
    for job in listing:
        if job.job_id == job_id or (not task and str(job.raw_id) == job_id):
            return job
    for job in listing:
        if task.isdigit() and job.array_pending and str(job.array_job_id) == array:
            return replace(job, job_id=job_id, array_pending=False)
    return None


def _understood(command: str, read: Callable[[], T]) -> T:
    """What ``read`` makes of an answer; an answer that makes no sense tells nothing."""
    try:
        return read()
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SlurmUnavailable(
            f"{command} gave an answer that ajrd cannot read: {error}"
        ) from error
