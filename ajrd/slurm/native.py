"""Slurm through pyslurm 25.11: no process for each question.

pyslurm is an optional extra that must have the major and minor version of the controller. What
it cannot do, or does otherwise than Slurm's own commands, goes through the commands:

- Array tasks and het components: its calls take a number, and that of a record of pending
  tasks means all of them.
- Cancelling: it takes an unknown job for a success, judges by an error number that a success
  does not reset, and cancels with the first record of an array the whole array.
- Empty text and text that is no UTF-8: it sends neither.
- Exit codes from 128 on, from which it takes 128, and who holds a job that was requeued and
  held (see :func:`_is_doubtful`).
- Steps: it does not show the pattern of files that each task has of its own.
- A dependency on the job's own singleton: it does not show that.
"""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, TypeVar

from ajrd.errors import SlurmRejected, SlurmUnavailable
from ajrd.model import HoldBy, JobInfo, JobState, StepInfo
from ajrd.slurm.base import ClusterInfo, JobUpdate, Refusal
from ajrd.slurm.calls import Calls, check
from ajrd.slurm.cli import CliSlurm
from ajrd.slurm.identity import job_name, task_id
from ajrd.slurm.process import environment
from ajrd.slurm.states import Run, from_words, held_by

T = TypeVar("T")

#: The line of pyslurm whose attributes are used here.
SUPPORTED = (25, 11)
#: Seconds for the import of pyslurm on a busy machine.
_IMPORT = 30.0


async def native_available(version: tuple[int, int, int], conf: str | None = None) -> str | None:
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
        done = await check(environment(os.environ, conf), _IMPORT)
    except SlurmUnavailable as error:
        return f"pyslurm {installed} cannot be loaded: {error}"
    said = done.err.strip().splitlines()[-1:] or [f"exit code {done.code}"]
    return f"pyslurm {installed} cannot be loaded: {said[0]}" if done.code else None


class PyslurmSlurm:
    """The :class:`~ajrd.slurm.base.Slurm` protocol by pyslurm.

    ``conf`` is the path of slurm.conf (default: the environment's, then the built-in one),
    ``timeout`` the limit of one call in s, ``bin_dir`` where the commands are (default: PATH).
    """

    def __init__(
        self, conf: str | None = None, timeout: float = 10.0, bin_dir: str | None = None
    ) -> None:
        self._ask = Calls(environment(os.environ, conf), timeout)
        self._commands = CliSlurm(conf, bin_dir, timeout)
        self._exit_codes: dict[_Ended, int] = {}

    async def cluster(self) -> ClusterInfo:
        """Name, version and the settings that matter here."""
        said = await self._read("config", "cluster")
        return _understood("config", lambda: _cluster(said))

    async def jobs(self) -> list[JobInfo]:
        """Every job that slurmctld knows."""
        said = await self._read("jobs", "jobs")
        jobs = _understood("jobs", lambda: [_job(job) for job in said])
        known = {_ended(job) for job in jobs} & self._exit_codes.keys()
        self._exit_codes = {ended: self._exit_codes[ended] for ended in known}
        return await self._certain(jobs)

    async def job(self, job_id: str) -> JobInfo | None:
        """One job by its name, or by the raw id of an array task."""
        if not job_id.isdigit():
            return await self._commands.job(job_id)
        try:
            said = await self._read(job_id, "job", raw_id=int(job_id))
        except SlurmRejected:
            return None
        return (await self._certain([_understood(job_id, lambda: _job(said))]))[0]

    async def steps(self, job_id: str) -> list[StepInfo]:
        """The running steps of one job; none for a job that is pending, over or unknown."""
        return await self._commands.steps(job_id)

    async def requeue_hold(self, job_id: str) -> None:
        """Requeue and hold."""
        if job_id.isdigit():
            await self._ask(job_id, "requeue", raw_id=int(job_id), hold=True)
        else:
            await self._commands.requeue_hold(job_id)

    async def requeue(self, job_id: str) -> None:
        """Requeue."""
        if job_id.isdigit():
            await self._ask(job_id, "requeue", raw_id=int(job_id), hold=False)
        else:
            await self._commands.requeue(job_id)

    async def update(self, job_id: str, change: JobUpdate) -> None:
        """Change fields of a job in one call."""
        fields = _fields(change)
        if not job_id.isdigit() or not all(map(_can_be_sent, fields.values())):
            await self._commands.update(job_id, change)
        elif fields:
            await self._ask(job_id, "update", raw_id=int(job_id), **fields)

    async def hold(self, job_id: str) -> None:
        """Hold as the administrator."""
        if job_id.isdigit():
            await self._ask(job_id, "hold", raw_id=int(job_id))
        else:
            await self._commands.hold(job_id)

    async def release(self, job_id: str) -> None:
        """Release a held job."""
        if job_id.isdigit():
            await self._ask(job_id, "release", raw_id=int(job_id))
        else:
            await self._commands.release(job_id)

    async def cancel(self, job_id: str) -> None:
        """Cancel a job; one that is already over stays as it is."""
        await self._commands.cancel(job_id)

    async def close(self) -> None:
        """End the process in which pyslurm lives."""
        await self._ask.close()
        await self._commands.close()

    async def _read(self, about: str, name: str, **arguments: Any) -> Any:
        """The answer to a question. Only that a job is not known is news; no other refusal is."""
        try:
            return await self._ask(about, name, **arguments)
        except SlurmRejected as error:
            if error.code == Refusal.UNKNOWN_JOB:
                raise
            raise SlurmUnavailable(str(error)) from error

    async def _certain(self, jobs: list[JobInfo]) -> list[JobInfo]:
        """``jobs`` with one command for all that is doubtful of them, if anything is."""
        asked = [job for job in jobs if _is_doubtful(job) and _ended(job) not in self._exit_codes]
        said = {}
        if asked:
            found = await self._commands.some([str(job.raw_id) for job in asked])
            said = {(job.raw_id, job.restarts): job for job in found}
        return [self._corrected(job, said.get((job.raw_id, job.restarts))) for job in jobs]

    def _corrected(self, job: JobInfo, said: JobInfo | None) -> JobInfo:
        if said is not None and job.held is HoldBy.REQUEUE_HOLD and said.held is not HoldBy.NOBODY:
            return replace(job, held=said.held)
        if said is not None and _is_doubtful(job) and said.state.ended:
            self._exit_codes[_ended(job)] = said.exit_code
        return replace(job, exit_code=self._exit_codes.get(_ended(job), job.exit_code))


#: One end of one job: raw id, restarts, time.
_Ended = tuple[int, int, datetime | None]


def _ended(job: JobInfo) -> _Ended:
    return job.raw_id, job.restarts, job.end_time


def _is_doubtful(job: JobInfo) -> bool:
    """True if pyslurm may hide something of the job.

    An exit code 11 may be 139, the shell's word for a segmentation fault; and the text that
    ``requeuehold`` leaves covers a later hold by an administrator.
    """
    failed = job.state.ended and job.state is not JobState.COMPLETED
    return job.held is HoldBy.REQUEUE_HOLD or (failed and not job.signal)


def _fields(change: JobUpdate) -> dict[str, Any]:
    """The attributes of a ``pyslurm.JobSubmitDescription``."""
    fields = {
        "begin_time": int(change.start_at.timestamp()) if change.start_at else None,
        "excluded_nodes": change.exclude_nodes,
        "admin_comment": change.admin_comment,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _can_be_sent(value: Any) -> bool:
    try:
        return not isinstance(value, str) or bool(value.encode())
    except UnicodeEncodeError:
        return False


def _understood(about: str, read: Callable[[], T]) -> T:
    try:
        return read()
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise SlurmUnavailable(f"pyslurm, {about}: unreadable answer: {error!r}") from error


def _cluster(said: Mapping[str, Any]) -> ClusterInfo:
    major, minor, micro = (int(part) for part in said["version"].split("-")[0].split("."))
    return ClusterInfo(
        name=said["cluster_name"],
        version=(major, minor, micro),
        requeue_default=bool(said["job_requeue"]),
        min_job_age=int(said["min_job_age"] or 0),
    )


def _job(said: Mapping[str, Any]) -> JobInfo:
    raw, array = said["id"], said["array_id"]
    task = _tasks(said) if array else ""
    reason = said["state_reason"] or "None"
    start, end = said["start_time"], said["end_time"]
    state = from_words([said["state"]], Run(reason, start, end, not said["run_time"]))
    pending_array = array is not None and task_id(task) is None
    has_files = bool(said["is_batch_job"]) and not pending_array
    het, offset = said["heterogeneous_id"], said["heterogeneous_offset"]
    out, err = said["standard_output"] or "", said["standard_error"] or ""
    return JobInfo(
        job_id=job_name(raw, array, task, het, offset or 0),
        raw_id=raw,
        name=said["name"] or "",
        user=said["user_name"] or "",
        uid=said["user_id"],
        gid=said["group_id"],
        partition=said["partition"] or "",
        state=state.base,
        completing=state.completing,
        configuring=state.configuring,
        reason=reason,
        held=held_by(state.base, 1 if said["priority"] is None else said["priority"], reason),
        restarts=said["requeue_count"] or 0,
        requeue=bool(said["is_requeueable"]),
        batch=bool(said["is_batch_job"]),
        array_job_id=array,
        array_pending=pending_array,
        het_job_id=het,
        submit_time=datetime.fromtimestamp(said["submit_time"] or 0, UTC),
        eligible_time=_time(said["eligible_time"]),
        start_time=_time(start),
        end_time=_time(end),
        nodes=said["allocated_nodes"] or "",
        cpus=said["cpus"] or 0,
        gpus=said["gpus"],
        exclude_nodes=said["excluded_nodes"] or "",
        exit_code=said["exit_code"] or 0,
        signal=said["exit_code_signal"] or 0,
        dependency=_dependency(said["dependencies"] or {}),
        work_dir=said["working_directory"] or "",
        std_out=out if has_files else "",
        std_err=(err or out) if has_files else "",
        comment=said["comment"] or "",
        admin_comment=said["admin_comment"] or "",
    )


def _dependency(said: Mapping[str, Any]) -> str:
    """``afterok:7(unfulfilled),…`` as Slurm's commands print it, from pyslurm's lists."""
    kinds = [(kind, jobs) for kind, jobs in said.items() if isinstance(jobs, list)]
    separator = "?" if said.get("satisfy") == "any" else ","
    return separator.join(f"{kind}:{job}" for kind, jobs in kinds for job in jobs)


def _tasks(said: Mapping[str, Any]) -> str:
    """The task or tasks of a record of an array; pyslurm shows task 0 as no task at all."""
    return str(said["array_tasks_waiting"] or said["array_task_id"] or 0)


def _time(seconds: int | None) -> datetime | None:
    return datetime.fromtimestamp(seconds, UTC) if seconds else None
