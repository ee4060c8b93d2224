"""The next job of a singleton chain, found among what Slurm shows. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ajrd.model import JobInfo, JobState


def next_in_chain(
    jobs: Iterable[JobInfo], *, uid: int, name: str, after: int, opted_in: Callable[[str], bool]
) -> JobInfo | None:
    """The oldest later job of the same user and name that was not cancelled.

    Singleton allows one running job for each name and user (``sbatch(1)``, --dependency), in
    the order of submission, so a job that is over has no bearing on what comes next.
    """
    later = (job for job in jobs if job.raw_id > after and job.uid == uid and job.name == name)
    open_ones = (job for job in later if not _over(job) and opted_in(job.comment))
    return min(open_ones, key=lambda job: job.raw_id, default=None)


def _over(job: JobInfo) -> bool:
    return job.state is JobState.CANCELLED and job.start_time is None
