"""The next missing step of a decision: the state machine of a recovery, as a pure function.

Theory of operation. A decision is carried out by looking at the job as Slurm shows it now,
doing the one next step that is missing, and looking again (level-triggered). Nothing remembers
what the last look believed, so the sequence goes on from any point after any crash. Slurm's
restart counter tells which attempt a view is about; with ``i`` the index of the attempt that
the decision is on:

    restarts == i    the attempt itself: alive, on its way out, or ended
    restarts == i+1  it has been requeued; this is the successor: held, waiting, or running
    restarts >  i+1  the successor has come and gone: nothing left to do
    restarts <  i    another job has the id

    REQUEUE   i, alive or ended    announce, then requeue_hold
              i, completing        wait: Slurm is still killing
              i, suspended         wait: whoever suspended it may be looking at it
              i+1, held by us      update (StartTime, nodes, AdminComment), then release
              i+1, pending         wait for resources
              i+1, started         CONVERGED
    STOP      i, alive             announce, then cancel (wait while suspended)
              i, ended             announce, CONVERGED
    CHAIN     i, alive             announce, then cancel (wait while suspended)
              i, ended             release the next job of the chain if its user holds it
              next job started     CONVERGED

A hold of the user's or an administrator's, or a cancellation by them, ends a decision as
ABANDONED: they know better. So does the request to abandon it, as soon as nothing is left held: a
requeue that may have begun goes on until its successor is released. A hold that has passed its
deadline is released after one try of its update. A successor that is put off stays held meanwhile:
one with a StartTime in the future is taken up by the scheduler up to a minute late (seen on 22.05
and 25.11).

While the database is away nobody can claim anything, and a second head node may see the same job.
Then the announcement is a must, and it is a contest: who is about to kill has written his name into
AdminComment and waits; if another name stands there afterwards, the other one acts.

The update comes at once, whatever is waited for after it: it puts ajrd's mark on the hold of an
attempt that had ended, which Slurm does not let anybody announce (*Job has already finished*), and
without the mark neither the watchdog nor another ajrd knows whose hold it is.

Why the release waits for the next second. A kill revokes the job's credentials on its nodes, and
slurmd compares times in whole seconds: a successor that starts on the same node within the second
in which the kill ended is killed at once, "Job credential revoked" (seen on 22.05; the comment in
``batch_requeue_fini``, job_mgr.c, says why Slurm itself waits for two minutes). That second is the
new submit time, so the successor may start one second later and no sooner.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from ajrd.model import DecisionState, HoldBy, JobInfo, JobState, Step, Verb
from ajrd.slurm.base import earliest_start


class Outcome(StrEnum):
    """How a decision ended: the fixed list of reasons."""

    SUCCESSOR_STARTED = "successor_started"
    STOPPED = "stopped"
    CHAIN_CONTINUES = "chain_continues"
    CHAIN_ENDS = "chain_ends"
    LEFT_ALONE = "left_alone"
    REQUEUED_BY_OTHERS = "requeued_by_others"
    ENDED_WELL = "ended_well"
    CANCELLED_BY_OTHERS = "cancelled_by_others"
    HELD_BY_OTHERS = "held_by_others"
    JOB_UNKNOWN = "job_unknown"
    REFUSED_BY_SLURM = "refused_by_slurm"
    TAKEN_OVER = "taken_over"
    ABANDONED_BY_REQUEST = "abandoned_by_request"


@dataclass(frozen=True, slots=True)
class Do:
    """Run the command of this step."""

    step: Step


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do until Slurm shows something else, or until ``until``."""

    reason: str
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class End:
    """The decision is over."""

    state: DecisionState
    outcome: Outcome


Move = Do | Wait | End


@dataclass(frozen=True, slots=True)
class Contest:
    """Acting without the store: whose name stands in AdminComment, ours, and until when to wait."""

    name: str
    ours: str
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """Everything the next move depends on.

    ``settled`` are the steps that need no further try (done, skipped, or failed without harm);
    ``begun`` those whose command may have run. ``job`` None: Slurm knows no such job.
    ``start_delay`` (s) puts the successor's start off; ``updated_at`` is when the update was over.
    ``next_job`` is the next of a singleton chain, None if there is none. ``abandoning``: somebody
    has asked that the decision end.
    """

    verb: Verb
    attempt: int
    job: JobInfo | None
    settled: frozenset[Step]
    begun: frozenset[Step]
    now: datetime
    hold_deadline: datetime | None = None
    start_delay: float = 0.0
    updated_at: datetime | None = None
    contest: Contest | None = None
    next_job: JobInfo | None = None
    abandoning: bool = False

    @property
    def requeue_begun(self) -> bool:
        """May a requeue that Slurm shows be ours?"""
        return Step.REQUEUE_HOLD in self.begun


_SUSPENDED = Wait("the attempt is suspended")

#: A start that lies further ahead means that the controller's clock differs from ours: then the
#: second is counted from the update, which came after the end of the kill.
CLOCKS_AGREE = timedelta(seconds=3)
_SECOND = timedelta(seconds=1)

#: The steps that a decision intends, in the order in which they come.
STEPS: dict[Verb, tuple[Step, ...]] = {
    Verb.REQUEUE: (Step.ANNOUNCE, Step.REQUEUE_HOLD, Step.UPDATE, Step.RELEASE),
    Verb.STOP: (Step.ANNOUNCE, Step.CANCEL),
    Verb.CHAIN: (Step.ANNOUNCE, Step.CANCEL, Step.RELEASE_NEXT),
    Verb.LEAVE: (),
}


def next_move(now: Situation) -> Move:
    """What to do next for a decision."""
    if not now.abandoning:
        return _wanted(now)
    move = _wanted(replace(now, start_delay=0.0))
    if isinstance(move, End) or _may_be_held(now):
        return move
    return _abandoned(Outcome.ABANDONED_BY_REQUEST)


def _may_be_held(now: Situation) -> bool:
    """Does the job wait for our release, or will it, if the command to requeue it has run?"""
    if now.job is None or not now.requeue_begun:
        return False
    return now.job.restarts == now.attempt or now.job.held is HoldBy.REQUEUE_HOLD


def _wanted(now: Situation) -> Move:
    """What brings the decision about."""
    if now.verb is Verb.LEAVE:
        return _converged(Outcome.LEFT_ALONE)
    if now.job is None:
        return _without_job(now)
    if now.job.restarts < now.attempt:
        return _abandoned(Outcome.JOB_UNKNOWN)
    if now.verb is Verb.REQUEUE:
        return _requeue(now, now.job)
    if now.job.restarts > now.attempt:
        return _abandoned(Outcome.REQUEUED_BY_OTHERS)
    return _stop(now, now.job)


def _without_job(now: Situation) -> Move:
    """Slurm has forgotten the job (MinJobAge): that is how a stopped attempt looks in the end."""
    if now.verb is Verb.STOP:
        return _converged(Outcome.STOPPED)
    if now.verb is Verb.CHAIN:
        return _chain(now)
    return _abandoned(Outcome.JOB_UNKNOWN)


def _requeue(now: Situation, job: JobInfo) -> Move:
    if job.restarts == now.attempt:
        return _before_requeue(now, job)
    if job.restarts == now.attempt + 1:
        if job.state is JobState.CANCELLED:
            return _abandoned(Outcome.CANCELLED_BY_OTHERS)
        if job.state is JobState.PENDING:
            return _successor_pending(now, job)
    return _converged(
        Outcome.SUCCESSOR_STARTED if now.requeue_begun else Outcome.REQUEUED_BY_OTHERS
    )


def _before_requeue(now: Situation, job: JobInfo) -> Move:
    if job.state is JobState.CANCELLED:
        return _abandoned(Outcome.CANCELLED_BY_OTHERS)
    if job.state is JobState.COMPLETED:
        return _abandoned(Outcome.ENDED_WELL)
    if job.completing or job.state is JobState.PENDING:
        return Wait("Slurm is ending the attempt")
    if job.state is JobState.SUSPENDED:
        return _SUSPENDED
    return _announced(now, job) or Do(Step.REQUEUE_HOLD)


def _announced(now: Situation, job: JobInfo) -> Move | None:
    """What is still to do before a kill, or None."""
    if Step.ANNOUNCE not in now.settled:
        return Do(Step.ANNOUNCE)
    if now.contest is None or job.state.ended:
        return None
    if now.contest.name != now.contest.ours:
        return _abandoned(Outcome.TAKEN_OVER)
    if now.now < now.contest.until:
        return Wait("another ajrd may be about to act", now.contest.until)
    return None


def _successor_pending(now: Situation, job: JobInfo) -> Move:
    if job.completing:
        return Wait("Slurm is ending the attempt")
    if job.held is HoldBy.NOBODY:
        if now.requeue_begun:
            return Wait(f"for Slurm to start it: {job.reason}")
        return _converged(Outcome.REQUEUED_BY_OTHERS)
    if job.held is not HoldBy.REQUEUE_HOLD or not now.requeue_begun:
        return _abandoned(Outcome.HELD_BY_OTHERS)
    late = now.hold_deadline is not None and now.now >= now.hold_deadline
    if Step.UPDATE not in now.settled and not (late and Step.UPDATE in now.begun):
        return Do(Step.UPDATE)
    start = _release_at(now, job)
    if not late and now.now < start:
        return Wait("for the moment from which it may start", start)
    return Do(Step.RELEASE)


def _release_at(now: Situation, job: JobInfo) -> datetime:
    """When the successor may start, by our clock."""
    start, delay = earliest_start(job), timedelta(seconds=now.start_delay)
    if start - now.now > CLOCKS_AGREE:
        start = (now.updated_at or now.now) + _SECOND
    return start + delay


def _stop(now: Situation, job: JobInfo) -> Move:
    if job.state is JobState.COMPLETED and not job.completing:
        return _abandoned(Outcome.ENDED_WELL)
    if job.state is JobState.SUSPENDED:
        return _SUSPENDED
    if before := _announced(now, job):
        return before
    if job.completing:
        return Wait("Slurm is ending the attempt")
    if job.state is JobState.PENDING:
        return Wait("Slurm is requeueing the attempt")
    if not job.state.ended:
        return Do(Step.CANCEL)
    return _chain(now) if now.verb is Verb.CHAIN else _converged(Outcome.STOPPED)


def _chain(now: Situation) -> Move:
    following = now.next_job
    if following is None:
        return _converged(Outcome.CHAIN_ENDS)
    if following.state is not JobState.PENDING:
        return _converged(Outcome.CHAIN_CONTINUES)
    if following.held is HoldBy.USER:
        return Do(Step.RELEASE_NEXT)
    if following.held is not HoldBy.NOBODY:
        return _abandoned(Outcome.HELD_BY_OTHERS)
    return Wait(f"for job {following.job_id}, the next of the chain, to start")


def _converged(outcome: Outcome) -> End:
    return End(DecisionState.CONVERGED, outcome)


def _abandoned(outcome: Outcome) -> End:
    return End(DecisionState.ABANDONED, outcome)
