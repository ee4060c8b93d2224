"""From what the jobs and Slurm say to counts: wanted, done, double, lost, left held. Pure.

The ledgers are the truth about what ran and what broke. A recovery is *wanted* when an attempt
broke for a reason that makes another try worthwhile, its owner had asked for it, and nobody else
has laid hands on the job. It is *done* when the successor ran. *Double* is everything that ajrd
must never do: a requeue beyond the budget, the end of a healthy attempt, a second life for a job
that ended well or was cancelled, any touch of a job that did not opt in. What Slurm has requeued of
its own accord is neither. *Left held* is any job
that was requeued into a hold, with ajrd's mark or without: nobody else does that here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from types import MappingProxyType

from ajrd.model import HoldBy, JobInfo, ResumeMode
from bench.soak.ledger import Execution, Ledger
from bench.soak.population import Act, Plan


class Wish(StrEnum):
    """What was wanted of ajrd."""

    REQUEUE = "requeue"
    CHAIN = "next job of the chain"
    STOP = "stop at the limit"


class Fate(StrEnum):
    """What became of it."""

    DONE = "done"
    DOUBLE = "double"
    LOST = "lost"
    HELD = "left held"


@dataclass(frozen=True, slots=True)
class Count:
    """One recovery that was wanted and what became of it, or something that must not happen."""

    wish: Wish
    fate: Fate
    job_id: str
    what: str


@dataclass(frozen=True, slots=True)
class Submission:
    """A job that Slurm has taken. Times are seconds since the epoch.

    ``meddled_at``: its user began to cancel or to hold it; ``cancelled_at``: Slurm had obeyed.
    """

    plan: Plan
    job_id: str
    at: float
    meddled_at: float | None = None
    cancelled_at: float | None = None


def reckon(
    submissions: Sequence[Submission],
    ledgers: Iterable[Ledger],
    final: Sequence[JobInfo],
    set_back: Set[str] = frozenset(),
    by_slurm: Mapping[str, Sequence[float]] = MappingProxyType({}),
) -> list[Count]:
    """All that was wanted or wrong. ``final`` is what Slurm shows when everything has settled.

    Of the jobs ``set_back`` Slurm itself has forgotten something: they can only be left held.
    ``by_slurm`` are its own requeues of each job, in seconds since the epoch.
    """
    return list(_Reckoning(submissions, ledgers, final, set_back, by_slurm).counts())


class _Reckoning:
    def __init__(
        self,
        submissions: Sequence[Submission],
        ledgers: Iterable[Ledger],
        final: Sequence[JobInfo],
        set_back: Set[str],
        by_slurm: Mapping[str, Sequence[float]],
    ) -> None:
        self._submissions = sorted(submissions, key=lambda each: int(each.job_id))
        self._runs: Mapping[tuple[int, str], list[Execution]] = {
            (each.number, each.job_id): each.executions for each in ledgers
        }
        self._alive = {job.job_id for job in final if job.alive}
        self._final = final
        self._set_back = set_back
        self._by_slurm = by_slurm

    def counts(self) -> Iterator[Count]:
        for job in self._submissions:
            if job.job_id in self._set_back:
                continue
            runs = self._executions(job)
            yield from self._wanted(job, runs)
            yield from (
                Count(Wish.REQUEUE, Fate.DOUBLE, job.job_id, what)
                for what in self._forbidden(job, runs)
            )
        for seen in self._final:
            if seen.held is HoldBy.REQUEUE_HOLD:
                what = f"held after a requeue, AdminComment: {seen.admin_comment or 'none'}"
                yield Count(Wish.REQUEUE, Fate.HELD, seen.job_id, what)

    def _executions(self, job: Submission) -> list[Execution]:
        return self._runs.get((job.plan.number, job.job_id), [])

    # what was wanted

    def _wanted(self, job: Submission, runs: list[Execution]) -> Iterator[Count]:
        if job.plan.mode is None or job.meddled_at is not None:
            return
        for run in runs:
            if run.broke is not None and run.act.retryable:
                yield from self._of_broken(job, run, run.broke, runs)

    def _of_broken(
        self, job: Submission, run: Execution, broke: float, runs: list[Execution]
    ) -> Iterator[Count]:
        if job.plan.mode is ResumeMode.SINGLETON:
            following = self._next(job, broke)
            if following is not None:
                if following.meddled_at is None and following.job_id not in self._set_back:
                    done = bool(self._executions(following))
                    what = f"job {following.job_id} of the chain never started"
                    yield _count(Wish.CHAIN, job, run, what, done=done)
                return
        elif self._used(job, run) < job.plan.budget:
            done = any(other.attempt > run.attempt for other in runs)
            yield _count(Wish.REQUEUE, job, run, "its successor never ran", done=done)
            return
        if run.act is Act.STAY:
            yield _count(Wish.STOP, job, run, "still there", done=job.job_id not in self._alive)

    def _next(self, job: Submission, broke: float) -> Submission | None:
        """The job that Slurm lets follow in a chain, if it was there in time."""
        later = (
            other
            for other in self._submissions
            if other.plan.name == job.plan.name
            and int(other.job_id) > int(job.job_id)
            and other.at < broke
        )
        return next(later, None)

    # what must not be

    def _forbidden(self, job: Submission, runs: list[Execution]) -> Iterator[str]:
        for run, after in pairwise(runs):
            if after.attempt <= run.attempt or self._used(job, run) == self._used(job, after):
                continue
            if run.finished is not None:
                yield f"attempt {run.attempt} had finished, and yet there is {after.attempt}"
            elif run.healthy:
                yield f"attempt {run.attempt} was at work when it was requeued"
        if runs and job.meddled_at is None and runs[-1].healthy and job.job_id not in self._alive:
            yield f"attempt {runs[-1].attempt} was at work when it was ended"
        used = self._used(job, runs[-1]) if runs else 0
        if used > job.plan.budget and job.plan.mode is not None:
            yield f"attempt {runs[-1].attempt} with a budget of {job.plan.budget}"
        if job.plan.mode is None and used > 0:
            yield "it asked for nothing and was requeued"
        if job.cancelled_at is not None and runs and runs[-1].started > job.cancelled_at + 1:
            yield "its user had cancelled it, and it ran again"
        if job.plan.held and runs and not self._may_be_released(job):
            yield "its user held it, and no job before it had broken"

    def _used(self, job: Submission, run: Execution) -> int:
        """The requeues before a run that are not Slurm's own."""
        own = sum(at <= run.started for at in self._by_slurm.get(job.job_id, ()))
        return run.attempt - own

    def _may_be_released(self, job: Submission) -> bool:
        return job.meddled_at is not None or any(
            run.broke is not None
            for other in self._submissions
            if other.plan.name == job.plan.name and int(other.job_id) < int(job.job_id)
            for run in self._executions(other)
        )


def _count(wish: Wish, job: Submission, run: Execution, what: str, *, done: bool) -> Count:
    about = f"attempt {run.attempt} broke ({run.act})"
    if done:
        return Count(wish, Fate.DONE, job.job_id, about)
    return Count(wish, Fate.LOST, job.job_id, f"{about}; {what}")
