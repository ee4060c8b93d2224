"""Which holds are ajrd's: told from Slurm alone, by the mark in AdminComment."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from ajrd.model import HoldBy, JobInfo, JobState
from ajrd.slurm.admin_comment import read_mark


@dataclass(frozen=True, slots=True)
class Hold:
    """One hold of ajrd's. Another hold of the job has another restart count."""

    job_id: str
    restarts: int
    submit_time: datetime
    deadline: datetime = field(compare=False)


def own_hold(job: JobInfo) -> Hold | None:
    """The hold that ajrd has on a job; None if nobody or somebody else holds it."""
    if job.state is not JobState.PENDING or job.completing or job.held is not HoldBy.REQUEUE_HOLD:
        return None
    mark = read_mark(job.admin_comment)
    if mark is None or mark.hold_deadline is None or mark.attempt != job.restarts - 1:
        return None
    return Hold(job.job_id, job.restarts, job.submit_time, mark.hold_deadline)
