"""Slurm through pyslurm 25.11: no process for each question.

pyslurm is an optional extra that must have the major and minor version of the controller. Its
objects are touched in one place each, attribute by attribute, because some of them raise on
what a job does not have. All its calls run in one thread named ``pyslurm``: libslurm keeps the
error of the last call in a global.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.metadata
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, TypeVar

from ajrd.errors import SlurmRejected, SlurmUnavailable
from ajrd.model import JobInfo, StepInfo
from ajrd.slurm.base import ClusterInfo, JobUpdate, Refusal
from ajrd.slurm.identity import job_name, task_id
from ajrd.slurm.refusals import as_error
from ajrd.slurm.states import Run, from_words, held_by

T = TypeVar("T")

#: The line of pyslurm whose attributes are used here.
SUPPORTED = (25, 11)


def native_available(version: tuple[int, int, int], conf: str | None = None) -> str | None:
    """Why pyslurm cannot talk to a controller of ``version``, or None if it can."""
    try:
        installed = importlib.metadata.version("pyslurm")
    except importlib.metadata.PackageNotFoundError:
        return "pyslurm is not installed"
    line = tuple(int(part) for part in installed.split(".")[:2] if part.isdigit())
    if line != SUPPORTED:
        return f"pyslurm {installed} is installed, ajrd knows 25.11"
    if version[:2] != line:
        return f"pyslurm {installed} does not fit Slurm {version[0]}.{version[1]:02d}"
    try:
        _load(conf)
    except (ImportError, OSError) as error:
        return f"pyslurm {installed} cannot be loaded: {error}"
    return None


def _load(conf: str | None) -> Any:
    """pyslurm, which reads slurm.conf once, when it is imported."""
    if conf:
        os.environ["SLURM_CONF"] = conf
    return importlib.import_module("pyslurm")


class PyslurmSlurm:
    """The :class:`~ajrd.slurm.base.Slurm` protocol by pyslurm.

    ``conf`` must be what the process started with, because libslurm reads its configuration
    once; ``timeout`` limits the wait for one call in s (a call cannot be broken off: it goes on
    in its thread, and the next one queues behind it).
    """

    def __init__(self, conf: str | None = None, timeout: float = 10.0) -> None:
        self._api = _load(conf)
        self._timeout = timeout
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="pyslurm")

    async def cluster(self) -> ClusterInfo:
        """Name, version and the settings that matter here."""
        return await self._call("config", lambda: _cluster(self._api.slurmctld.Config.load()))

    async def jobs(self) -> list[JobInfo]:
        """Every job that slurmctld knows."""
        return await self._call(
            "jobs", lambda: [_job(job) for job in self._api.Jobs.load().values()]
        )

    async def job(self, job_id: str) -> JobInfo | None:
        """One job; an array task or het component is looked for among all jobs."""
        if not job_id.isdigit():
            return next((job for job in await self.jobs() if job.job_id == job_id), None)
        try:
            return await self._call(job_id, lambda: _job(self._api.Job.load(int(job_id))))
        except SlurmRejected as error:
            if error.code == Refusal.UNKNOWN_JOB:
                return None
            raise SlurmUnavailable(str(error)) from error

    async def steps(self, job_id: str) -> list[StepInfo]:
        """The running steps of one job."""
        raw = await self._raw_or_none(job_id)
        if raw is None:
            return []

        def load() -> list[StepInfo]:
            steps: Mapping[Any, Any] = self._api.Job.load(raw).steps or {}
            return [_step(step, job_id) for step in steps.values()]

        return await self._call(job_id, load)

    async def requeue_hold(self, job_id: str) -> None:
        """Requeue and hold."""
        await self._act(job_id, lambda job: job.requeue(hold=True))

    async def requeue(self, job_id: str) -> None:
        """Requeue."""
        await self._act(job_id, lambda job: job.requeue())

    async def update(self, job_id: str, change: JobUpdate) -> None:
        """Change fields of a job in one call."""
        changes = self._api.JobSubmitDescription()
        if change.start_at is not None:
            changes.begin_time = int(change.start_at.timestamp())
        if change.exclude_nodes is not None:
            changes.excluded_nodes = change.exclude_nodes
        if change.admin_comment is not None:
            changes.admin_comment = change.admin_comment
        if change != JobUpdate():
            await self._act(job_id, lambda job: job.modify(changes))

    async def hold(self, job_id: str) -> None:
        """Hold as the administrator."""
        await self._act(job_id, lambda job: job.hold(mode="admin"))

    async def release(self, job_id: str) -> None:
        """Release a held job."""
        await self._act(job_id, lambda job: job.release())

    async def cancel(self, job_id: str) -> None:
        """Cancel a job; one that is already over stays as it is, as with scancel."""
        try:
            await self._act(job_id, lambda job: job.cancel())
        except SlurmRejected as error:
            if error.code != Refusal.WRONG_STATE:
                raise

    async def close(self) -> None:
        """Let the thread go; a call that hangs is not waited for."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _act(self, job_id: str, action: Callable[[Any], None]) -> None:
        raw = await self._raw_or_none(job_id)
        if raw is None:
            raise SlurmRejected(f"{job_id}: Invalid job id specified", Refusal.UNKNOWN_JOB)
        await self._call(job_id, lambda: action(self._api.Job(raw)))

    async def _raw_or_none(self, job_id: str) -> int | None:
        """The number that Slurm's calls take: records of pending tasks stand for all of them."""
        if job_id.isdigit():
            return int(job_id)
        job = await self.job(job_id)
        return job.raw_id if job else None

    async def _call(self, about: str, function: Callable[[], T]) -> T:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._timeout):
                return await loop.run_in_executor(self._thread, function)
        except TimeoutError:
            raise SlurmUnavailable(
                f"pyslurm gave no answer about {about} within {self._timeout:g} s; check slurmctld"
            ) from None
        except self._api.RPCError as error:
            raise as_error(f"pyslurm, {about}", str(error)) from error
        except (AttributeError, ValueError, TypeError) as error:
            raise SlurmUnavailable(
                f"pyslurm's answer about {about} is unreadable: {error}"
            ) from error


def _cluster(config: Any) -> ClusterInfo:
    major, minor, micro = (int(part) for part in str(config.version).split("-")[0].split("."))
    return ClusterInfo(
        name=config.cluster_name,
        version=(major, minor, micro),
        requeue_default=bool(config.job_requeue),
        min_job_age=int(config.min_job_age or 0),
    )


def _job(job: Any) -> JobInfo:
    raw = int(job.id)
    array = job.array_id or None
    task = _tasks(job) if array else ""
    reason = job.state_reason or "None"
    run = Run(reason, job.start_time, job.end_time, not job.run_time)
    state = from_words([job.state], run)
    pending_array = array is not None and task_id(task) is None
    has_files = bool(job.is_batch_job) and not pending_array
    return JobInfo(
        job_id=job_name(raw, array, task, job.heterogeneous_id, job.heterogeneous_offset or 0),
        raw_id=raw,
        name=job.name or "",
        user=job.user_name or "",
        uid=int(job.user_id),
        gid=int(job.group_id),
        partition=job.partition or "",
        state=state.base,
        completing=state.completing,
        configuring=state.configuring,
        reason=reason,
        held=held_by(state.base, 1 if job.priority is None else job.priority, reason),
        restarts=int(job.requeue_count or 0),
        requeue=bool(job.is_requeueable),
        batch=bool(job.is_batch_job),
        array_job_id=array,
        array_pending=pending_array,
        het_job_id=job.heterogeneous_id or None,
        submit_time=datetime.fromtimestamp(job.submit_time or 0, UTC),
        eligible_time=_time(job.eligible_time),
        start_time=_time(job.start_time),
        end_time=_time(job.end_time),
        nodes=job.allocated_nodes or "",
        exclude_nodes=job.excluded_nodes or "",
        exit_code=int(job.exit_code or 0),
        signal=int(job.exit_code_signal or 0),
        work_dir=job.working_directory or "",
        std_out=(job.standard_output or "") if has_files else "",
        std_err=(job.standard_error or "") if has_files else "",
        comment=job.comment or "",
        admin_comment=job.admin_comment or "",
    )


def _tasks(job: Any) -> str:
    waiting = job.array_tasks_waiting
    if waiting:
        return str(waiting)
    return "" if job.array_task_id is None else str(job.array_task_id)


def _step(step: Any, job_id: str) -> StepInfo:
    out = step.standard_output or ""
    return StepInfo(
        job_id=job_id,
        step_id=str(step.id),
        name=step.name or "",
        nodes=",".join(step.allocated_nodes or ()),
        tasks=int(step.ntasks or 1),
        start_time=_time(step.start_time),
        std_out=out,
        std_err=step.standard_error or out,
        srun_host=step.srun_host or "",
        srun_pid=int(step.srun_process_id or 0),
    )


def _time(seconds: int | None) -> datetime | None:
    return datetime.fromtimestamp(seconds, UTC) if seconds else None
