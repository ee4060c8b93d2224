"""The boundary to Slurm: one protocol, several implementations.

Reading calls raise :class:`~ajrd.errors.SlurmUnavailable` when slurmctld did not answer within
the time limit or answered unintelligibly; the caller must take that as *unknown*, never as
"no such job". ``None`` and an empty list are answers of a slurmctld that was reached.
Acting calls also raise :class:`~ajrd.errors.SlurmRejected` with a code from :class:`Refusal`.
After ``SlurmUnavailable`` from an acting call the command may or may not have been carried out.
Nothing blocks the event loop.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from ajrd.model import JobInfo, StepInfo


class Refusal(StrEnum):
    """Why slurmctld refused a command."""

    UNKNOWN_JOB = "unknown_job"
    REQUEUE_DISABLED = "requeue_disabled"
    NOT_BATCH = "not_batch"
    WRONG_STATE = "wrong_state"
    NOT_PERMITTED = "not_permitted"
    INVALID = "invalid"


@dataclass(frozen=True, slots=True)
class ClusterInfo:
    """The cluster as a whole. ``version`` is (major, minor, micro)."""

    name: str
    version: tuple[int, int, int]
    requeue_default: bool
    min_job_age: int


@dataclass(frozen=True, slots=True, kw_only=True)
class JobUpdate:
    """Changes for one ``scontrol update``; None leaves a field alone.

    ``start_at`` is the earliest start (whole seconds): it undoes the 121 s of BeginTime that a
    requeue leaves.
    """

    start_at: datetime | None = None
    exclude_nodes: str | None = None
    admin_comment: str | None = None

    def words(self) -> list[str]:
        """The arguments of ``scontrol update``; ``uts`` times know no zone (``parse_time.c``)."""
        words = []
        if self.start_at is not None:
            words.append(f"StartTime=uts{int(self.start_at.timestamp())}")
        if self.exclude_nodes is not None:
            words.append(f"ExcNodeList={self.exclude_nodes}")
        if self.admin_comment is not None:
            words.append(f"AdminComment={self.admin_comment}")
        return words


def earliest_start(job: JobInfo) -> datetime:
    """When the successor of a requeued job may start, on the controller's clock."""
    return job.submit_time.replace(microsecond=0) + timedelta(seconds=1)


class Slurm(Protocol):
    """A Slurm controller."""

    async def cluster(self) -> ClusterInfo:
        """Name, version and the settings that matter here."""

    async def jobs(self) -> list[JobInfo]:
        """Every job that slurmctld still knows, finished ones until MinJobAge included.

        ``std_out`` and ``std_err`` may be "" here even when :meth:`job` gives them.
        """

    async def job(self, job_id: str) -> JobInfo | None:
        """One job with everything known of it, or None if slurmctld knows no such job."""

    async def steps(self, job_id: str) -> list[StepInfo]:
        """The running steps of one job, the batch step included."""

    async def requeue_hold(self, job_id: str) -> None:
        """Kill what runs of the job and queue it again, held."""

    async def requeue(self, job_id: str) -> None:
        """Kill what runs of the job and queue it again."""

    async def update(self, job_id: str, change: JobUpdate) -> None:
        """Change fields of a job in one command."""

    async def hold(self, job_id: str) -> None:
        """Hold a pending job as the administrator."""

    async def release(self, job_id: str) -> None:
        """Release a held job."""

    async def cancel(self, job_id: str) -> None:
        """Cancel a job, as ``scancel`` does."""

    async def close(self) -> None:
        """Let go of threads and connections."""
