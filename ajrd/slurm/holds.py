"""Which holds are ajrd's, told from Slurm alone by the mark in AdminComment, and their end."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from ajrd.errors import SlurmRejected, SlurmUnavailable
from ajrd.model import HoldBy, JobInfo, JobState
from ajrd.slurm.admin_comment import read_mark
from ajrd.slurm.base import JobUpdate, Slurm, earliest_start


@dataclass(frozen=True, slots=True)
class Hold:
    """One hold of ajrd's. Another hold of the job has another restart count."""

    job_id: str
    restarts: int
    submit_time: datetime
    deadline: datetime = field(compare=False)


def is_requeue_held(job: JobInfo) -> bool:
    """Was the job requeued into a hold, whoever did that?"""
    return job.state is JobState.PENDING and not job.completing and job.held is HoldBy.REQUEUE_HOLD


def own_hold(job: JobInfo) -> Hold | None:
    """The hold that ajrd has on a job; None if nobody or somebody else holds it."""
    if not is_requeue_held(job):
        return None
    mark = read_mark(job.admin_comment)
    if mark is None or mark.hold_deadline is None or mark.attempt != job.restarts - 1:
        return None
    return Hold(job.job_id, job.restarts, job.submit_time, mark.hold_deadline)


async def release(slurm: Slurm, job: JobInfo) -> str:
    """Ends a hold; returns why the job will start late, "" if it will not.

    Raises SlurmRejected and SlurmUnavailable if it is still held. That the two minutes of a requeue
    could not be undone is no reason to hold it longer.
    """
    late = ""
    try:
        await slurm.update(job.job_id, JobUpdate(start_at=earliest_start(job)))
    except (SlurmRejected, SlurmUnavailable) as error:
        late = str(error)
    await slurm.release(job.job_id)
    return late
