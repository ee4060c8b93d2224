"""A Slurm whose requests are timed and counted, and that remembers when it last answered."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TypeVar

from ajrd.clock import ticks
from ajrd.errors import SlurmRejected, SlurmUnavailable
from ajrd.model import JobInfo, StepInfo
from ajrd.slurm.base import ClusterInfo, JobUpdate, Slurm
from ajrd.vitals.counts import Counts

T = TypeVar("T")


class MeteredSlurm:
    """The :class:`~ajrd.slurm.base.Slurm` protocol around another one.

    ``seen_at`` is when it last answered, None if it never has; ``why`` what went wrong if the last
    request got no answer.
    """

    def __init__(self, slurm: Slurm, counts: Counts, clock: Callable[[], datetime]) -> None:
        self._slurm = slurm
        self._counts = counts
        self._clock = clock
        self._heard = ticks()
        self.seen_at: datetime | None = None
        self.version = ""
        self.why = ""

    @property
    def silence(self) -> float:
        """Seconds since the last answer, or since the start."""
        return ticks() - self._heard

    @property
    def up(self) -> bool:
        """Did it answer the last request?"""
        return self.seen_at is not None and not self.why

    async def cluster(self) -> ClusterInfo:
        """Name, version and the settings that matter here."""
        info = await self._timed("cluster", self._slurm.cluster())
        self.version = ".".join(f"{part:02d}" for part in info.version[:2]) + f".{info.version[2]}"
        return info

    async def jobs(self) -> list[JobInfo]:
        """Every job."""
        return await self._timed("jobs", self._slurm.jobs())

    async def job(self, job_id: str) -> JobInfo | None:
        """One job."""
        return await self._timed("job", self._slurm.job(job_id))

    async def steps(self, job_id: str) -> list[StepInfo]:
        """The running steps of one job."""
        return await self._timed("steps", self._slurm.steps(job_id))

    async def requeue_hold(self, job_id: str) -> None:
        """Requeue and hold."""
        await self._timed("requeue_hold", self._slurm.requeue_hold(job_id))

    async def requeue(self, job_id: str) -> None:
        """Requeue."""
        await self._timed("requeue", self._slurm.requeue(job_id))

    async def update(self, job_id: str, change: JobUpdate) -> None:
        """Change fields of a job."""
        await self._timed("update", self._slurm.update(job_id, change))

    async def hold(self, job_id: str) -> None:
        """Hold as the administrator."""
        await self._timed("hold", self._slurm.hold(job_id))

    async def release(self, job_id: str) -> None:
        """Release a held job."""
        await self._timed("release", self._slurm.release(job_id))

    async def cancel(self, job_id: str) -> None:
        """Cancel a job."""
        await self._timed("cancel", self._slurm.cancel(job_id))

    async def close(self) -> None:
        """Let go of the other one."""
        await self._slurm.close()

    async def _timed(self, operation: str, request: Awaitable[T]) -> T:
        began = ticks()
        try:
            answer = await request
        except SlurmRejected as error:
            self._counts.refusals.labels(operation, str(error.code)).inc()
            self._answered(operation, began)
            raise
        except SlurmUnavailable as error:
            self.why = str(error)
            self._counts.slurm_errors.labels(operation).inc()
            self._counts.requests.labels(operation).observe(ticks() - began)
            raise
        self._answered(operation, began)
        return answer

    def _answered(self, operation: str, began: float) -> None:
        self._heard, self.seen_at, self.why = ticks(), self._clock(), ""
        self._counts.requests.labels(operation).observe(self._heard - began)
