"""A Slurm in memory for tests, with the manners that were seen from a real 22.05.

A requeued job is PENDING and COMPLETING until its processes are gone, then waits 121 s unless
its StartTime is set to now; finished jobs are forgotten after MinJobAge; refusals are the real
ones. Nothing starts by itself: tests call :meth:`MemorySlurm.start` or ``schedule``, and time
passes through the clock that is given. The contract tests run against this and a real Slurm.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TypeVar

from ajrd.errors import SlurmRejected
from ajrd.model import HoldBy, JobInfo, JobState, StepInfo
from ajrd.slurm.base import ClusterInfo, JobUpdate, Refusal
from ajrd.slurm.states import REQUEUE_HELD

T = TypeVar("T")

#: The credential's lifetime plus one: what a requeued job waits (cred.c, job_mgr.c).
REQUEUE_DELAY = timedelta(seconds=121)

_HELD_TEXT = {
    HoldBy.USER: "JobHeldUser",
    HoldBy.ADMIN: "JobHeldAdmin",
    HoldBy.REQUEUE_HOLD: REQUEUE_HELD,
}


@dataclass(slots=True)
class _Failure:
    error: Exception
    after: bool


@dataclass(slots=True)
class _Job:
    """One record of slurmctld. ``waiting`` are the tasks of an array that have none of their own.

    ``gone_at`` is when the processes of the last attempt are gone, ``requeued`` that the wait
    of a requeue begins then. A job that starts within the second of ``revoked_at`` dies at once:
    slurmd takes its credential for the one it was told to revoke.
    """

    info: JobInfo
    waiting: tuple[int, ...] = ()
    gone_at: datetime | None = None
    revoked_at: datetime | None = None
    requeued: bool = False
    steps: tuple[StepInfo, ...] = ()

    def change(self, **changes: object) -> None:
        self.info = replace(self.info, **changes)  # type: ignore[arg-type]


@dataclass(slots=True)
class MemorySlurm:
    """The :class:`~ajrd.slurm.base.Slurm` protocol without a Slurm.

    ``kill_time`` is how long the processes of an attempt take to die. ``next_id`` may be set
    back to see an id used again. ``calls`` lists every acting call: (operation, job id).
    """

    now: Callable[[], datetime]
    info: ClusterInfo = field(default_factory=lambda: ClusterInfo("memory", (22, 5, 8), True, 300))
    kill_time: timedelta = timedelta(seconds=0.05)
    next_id: int = 1
    calls: list[tuple[str, str]] = field(default_factory=list)
    _records: list[_Job] = field(default_factory=list)
    _failures: dict[str, list[_Failure]] = field(default_factory=dict)

    # What a user, an administrator, the scheduler and time do to jobs.

    def submit(
        self,
        name: str = "job",
        *,
        user: str = "alice",
        uid: int = 1000,
        comment: str = "",
        partition: str = "main",
        requeue: bool = True,
        batch: bool = True,
        hold: bool = False,
        dependency: str = "",
        work_dir: str = "/home",
        array: Iterable[int] = (),
    ) -> str:
        """Submit a job, held by its user if ``hold``; an array goes by its first id."""
        raw, self.next_id = self.next_id, self.next_id + 1
        waiting = tuple(array)
        info = JobInfo(
            job_id=str(raw), raw_id=raw, name=name, user=user, uid=uid, gid=uid,
            partition=partition, state=JobState.PENDING, submit_time=self.now(), requeue=requeue,
            batch=batch, reason="JobHeldUser" if hold else "None",
            held=HoldBy.USER if hold else HoldBy.NOBODY, eligible_time=self.now(),
            dependency=dependency, work_dir=work_dir, comment=comment,
            array_job_id=raw if waiting else None,
            std_out=f"{work_dir}/slurm-{raw}.out" if batch else "",
            std_err=f"{work_dir}/slurm-{raw}.out" if batch else "",
        )  # fmt: skip
        record = _Job(info, waiting)
        self._records.append(record)
        self._name_array(record)
        return str(raw)

    def start(self, job_id: str, nodes: str = "n1", steps: Iterable[StepInfo] = ()) -> None:
        """Start a pending job as the scheduler would; ValueError if it would not."""
        record = self._own_record(job_id)
        if not self._startable(record):
            raise ValueError(f"job {job_id} cannot start: {record.info}")
        record.steps = tuple(steps)
        record.change(
            state=JobState.RUNNING, nodes=nodes, start_time=self.now(), end_time=None,
            exit_code=0, signal=0, reason="None",
        )  # fmt: skip
        if record.revoked_at and int(self.now().timestamp()) <= int(record.revoked_at.timestamp()):
            self._end(record, JobState.FAILED, 1, 0)

    def schedule(self) -> None:
        """Start everything that may start."""
        for record in list(self._alive()):
            for task in record.waiting if self._startable(record) else ():
                self.start(f"{record.info.array_job_id}_{task}")
            if self._startable(record):
                self.start(record.info.job_id)

    def finish(
        self,
        job_id: str,
        state: JobState = JobState.COMPLETED,
        exit_code: int = 0,
        signal: int = 0,
    ) -> None:
        """End a running job by itself."""
        self._end(self._own_record(job_id), state, exit_code, signal)

    def user_cancel(self, job_id: str) -> None:
        """``scancel`` by the owner."""
        self._cancel(self._own_record(job_id))

    def user_hold(self, job_id: str) -> None:
        """``scontrol hold`` by the owner: not to be told from a requeue's hold that it meets."""
        record = self._own_record(job_id)
        if record.info.held is not HoldBy.REQUEUE_HOLD:
            self._hold(record, HoldBy.USER)

    def admin_hold(self, job_id: str) -> None:
        """``scontrol hold`` by root."""
        self._hold(self._own_record(job_id), HoldBy.ADMIN)

    def admin_requeue(self, job_id: str) -> None:
        """``scontrol requeue`` by somebody else than ajrd."""
        self._requeue(self._own_record(job_id), HoldBy.NOBODY)

    def set(self, job_id: str, **changes: object) -> None:
        """Set fields of a job's :class:`~ajrd.model.JobInfo` outright."""
        self._own_record(job_id).change(**changes)

    def fail_next(self, op: str, error: Exception, after: bool = False) -> None:
        """Let the next call of ``op`` raise, before it did anything or ``after`` it was done."""
        self._failures.setdefault(op, []).append(_Failure(error, after))

    # The protocol.

    async def cluster(self) -> ClusterInfo:
        """Name, version and the settings that matter here."""
        return self._asked("cluster", lambda: self.info)

    async def jobs(self) -> list[JobInfo]:
        """Every job that is not purged yet."""
        return self._asked("jobs", lambda: [record.info for record in self._alive()])

    async def job(self, job_id: str) -> JobInfo | None:
        """One job by its name or raw id."""
        return self._asked("job", lambda: self._seen(job_id))

    async def steps(self, job_id: str) -> list[StepInfo]:
        """The steps that :meth:`start` was given, while the job runs."""
        return self._asked("steps", lambda: self._running_steps(job_id))

    async def requeue_hold(self, job_id: str) -> None:
        """Requeue and hold."""
        self._acted("requeue_hold", job_id, lambda job: self._requeue(job, HoldBy.REQUEUE_HOLD))

    async def requeue(self, job_id: str) -> None:
        """Requeue."""
        self._acted("requeue", job_id, lambda job: self._requeue(job, HoldBy.NOBODY))

    async def update(self, job_id: str, change: JobUpdate) -> None:
        """Change fields of a job."""
        if change != JobUpdate():
            self._acted("update", job_id, lambda job: self._update(job, change))

    async def hold(self, job_id: str) -> None:
        """Hold as the administrator."""
        self._acted("hold", job_id, lambda job: self._hold(job, HoldBy.ADMIN))

    async def release(self, job_id: str) -> None:
        """Release."""
        self._acted("release", job_id, self._release)

    async def cancel(self, job_id: str) -> None:
        """Cancel; a job that is over stays as it is."""
        self._acted("cancel", job_id, self._cancel)

    async def close(self) -> None:
        """Nothing to close."""

    # What slurmctld does.

    def _asked(self, op: str, answer: Callable[[], T]) -> T:
        failure = self._failure(op)
        if failure:
            raise failure.error
        return answer()

    def _acted(self, op: str, job_id: str, action: Callable[[_Job], None]) -> None:
        self.calls.append((op, job_id))
        failure = self._failure(op)
        if failure and not failure.after:
            raise failure.error
        action(self._own_record(job_id))
        if failure:
            raise failure.error

    def _failure(self, op: str) -> _Failure | None:
        waiting = self._failures.get(op)
        return waiting.pop(0) if waiting else None

    def _alive(self) -> list[_Job]:
        """The records that are not purged, brought up to the present."""
        for record in self._records:
            self._settle(record)
        self._records = [record for record in self._records if not self._purged(record)]
        return self._records

    def _settle(self, record: _Job) -> None:
        if record.gone_at is None or self.now() < record.gone_at:
            return
        if record.requeued:
            eligible = max(record.info.eligible_time or record.gone_at, record.gone_at)
            record.change(
                nodes="", start_time=None, end_time=None, eligible_time=eligible,
                submit_time=record.gone_at,
            )  # fmt: skip
            record.revoked_at = record.gone_at
        record.change(completing=False)
        record.gone_at, record.requeued = None, False

    def _purged(self, record: _Job) -> bool:
        end = record.info.end_time
        over = record.info.state.ended and not record.info.completing and end is not None
        return (
            over and end is not None and self.now() - end > timedelta(seconds=self.info.min_job_age)
        )

    def _find(self, job_id: str) -> tuple[_Job, int | None] | None:
        """The record of a name or raw id, and the task if the record stands for several."""
        array, _, task = job_id.partition("_")
        for record in self._alive():
            if job_id in (record.info.job_id, str(record.info.raw_id)):
                return record, None
            if (
                task.isdigit()
                and str(record.info.array_job_id) == array
                and int(task) in record.waiting
            ):
                return record, int(task)
        return None

    def _seen(self, job_id: str) -> JobInfo | None:
        found = self._find(job_id)
        if found is None:
            return None
        record, task = found
        if task is None:
            return record.info
        return replace(record.info, job_id=job_id, array_pending=False)

    def _running_steps(self, job_id: str) -> list[StepInfo]:
        found = self._find(job_id)
        return list(found[0].steps) if found and found[0].info.alive else []

    def _own_record(self, job_id: str) -> _Job:
        """The record of a job; a task that shares one gets its own, as in Slurm."""
        found = self._find(job_id)
        if found is None:
            raise SlurmRejected(f"{job_id}: Invalid job id specified", Refusal.UNKNOWN_JOB)
        record, task = found
        return record if task is None else self._split(record, task)

    def _split(self, record: _Job, task: int) -> _Job:
        """Slurm gives a task an id of its own; the last one keeps the array's."""
        if len(record.waiting) == 1:
            raw, own = record.info.raw_id, record
        else:
            raw, self.next_id = self.next_id, self.next_id + 1
            own = _Job(record.info)
            self._records.append(own)
        record.waiting = tuple(each for each in record.waiting if each != task)
        name = f"{record.info.array_job_id}_{task}"
        out = f"{record.info.work_dir}/slurm-{name}.out"
        own.change(raw_id=raw, job_id=name, array_pending=False, std_out=out, std_err=out)
        if record is not own:
            self._name_array(record)
        return own

    def _name_array(self, record: _Job) -> None:
        if not record.waiting:
            return
        tasks = ",".join(map(str, record.waiting))
        several = len(record.waiting) > 1
        name = f"[{tasks}]" if several else tasks
        record.change(
            job_id=f"{record.info.array_job_id}_{name}",
            array_pending=several,
            std_out="",
            std_err="",
        )
        if not several:
            self._split(record, record.waiting[0])

    def _startable(self, record: _Job) -> bool:
        job = record.info
        eligible = job.eligible_time is None or job.eligible_time <= self.now()
        free = job.held is HoldBy.NOBODY and not job.completing
        return job.state is JobState.PENDING and free and eligible

    def _requeue(self, record: _Job, held: HoldBy) -> None:
        job = record.info
        if not job.requeue:
            raise _refused("Requested operation is presently disabled", Refusal.REQUEUE_DISABLED)
        if not job.batch:
            raise _refused("Only batch jobs are accepted or processed", Refusal.NOT_BATCH)
        if job.state is JobState.PENDING:
            raise _refused("Job is pending execution", Refusal.WRONG_STATE)
        if record.gone_at is None:
            record.gone_at = self.now() + (self.kill_time if job.alive else timedelta(0))
        record.requeued = True
        record.change(
            state=JobState.PENDING, completing=True, held=held,
            reason=_HELD_TEXT.get(held, "BeginTime"), restarts=job.restarts + 1,
            submit_time=self.now(), eligible_time=record.gone_at + REQUEUE_DELAY,
        )  # fmt: skip
        self._settle(record)

    def _update(self, record: _Job, change: JobUpdate) -> None:
        job = record.info
        if job.state.ended:
            raise _refused("Job has already finished", Refusal.WRONG_STATE)
        if job.state is not JobState.PENDING and (change.start_at or change.exclude_nodes):
            raise _refused("Job is no longer pending execution", Refusal.WRONG_STATE)
        if change.start_at is not None:
            waits = job.reason == "BeginTime"
            record.change(eligible_time=change.start_at, reason="None" if waits else job.reason)
        if change.exclude_nodes is not None:
            record.change(exclude_nodes=change.exclude_nodes)
        if change.admin_comment is not None:
            record.change(admin_comment=change.admin_comment)

    def _hold(self, record: _Job, held: HoldBy) -> None:
        job = record.info
        if job.state.ended:
            raise _refused("Job has already finished", Refusal.WRONG_STATE)
        if job.state is JobState.PENDING:
            covered = job.held is HoldBy.REQUEUE_HOLD
            record.change(held=held, reason=job.reason if covered else _HELD_TEXT[held])

    def _release(self, record: _Job) -> None:
        job = record.info
        if job.state.ended:
            raise _refused("Job has already finished", Refusal.WRONG_STATE)
        waits = job.eligible_time is not None and job.eligible_time > self.now()
        record.change(held=HoldBy.NOBODY, reason="BeginTime" if waits else "None")

    def _cancel(self, record: _Job) -> None:
        if not record.info.state.ended:
            self._end(record, JobState.CANCELLED, 0, 0)

    def _end(self, record: _Job, state: JobState, exit_code: int, signal: int) -> None:
        dying = record.info.alive
        record.gone_at = self.now() + (self.kill_time if dying else timedelta(0))
        record.requeued = False
        reason = "NonZeroExitCode" if exit_code or signal else "None"
        record.change(
            state=state, completing=dying, held=HoldBy.NOBODY, end_time=self.now(),
            exit_code=exit_code, signal=signal, reason=reason,
        )  # fmt: skip
        self._settle(record)


def _refused(text: str, code: Refusal) -> SlurmRejected:
    return SlurmRejected(text, code)
