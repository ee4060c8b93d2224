"""Carries out one decision: look, do the next missing step, look again.

What to do comes from :mod:`ajrd.recovery.sequence`; this module only runs it against Slurm and
writes down each step before and after. A step is *claimed* in the store before its command
runs, so after a crash it is known that it may have run.
"""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Awaitable, Callable
from datetime import datetime

import structlog
from ClusterShell.NodeSet import NodeSet

from ajrd.errors import SlurmRejected, SlurmUnavailable, StoreUnavailable
from ajrd.model import ActionState, DecisionState, Directive, JobInfo, ResumeMode, Step, Verb
from ajrd.policy.directive import Limits, parse_directive
from ajrd.recovery.chain import next_in_chain
from ajrd.recovery.sequence import (
    Do,
    End,
    Move,
    Outcome,
    Situation,
    Wait,
    next_move,
)
from ajrd.recovery.settings import Clock, no_checkpoint
from ajrd.slurm.admin_comment import Mark, with_mark
from ajrd.slurm.base import JobUpdate, Refusal, Slurm, earliest_start
from ajrd.store.records import ActionRecord, AttemptRecord, DecisionRecord, JobRecord
from ajrd.store.store import Store

log = structlog.get_logger("ajrd.recovery")

#: Steps that kill: the job is read once more between the claim and the command.
KILLING = frozenset({Step.REQUEUE_HOLD, Step.CANCEL})
#: Steps that may fail without harm: the recovery goes on without them.
OPTIONAL = frozenset({Step.ANNOUNCE, Step.UPDATE})
#: A decision that needs nothing more, whoever has closed it.
_OVER = End(DecisionState.CONVERGED, Outcome.LEFT_ALONE)
#: Seconds between looks while Slurm works, and while a job waits for resources.
QUICK, SLOW = 0.02, 2.0


class _Refused(Exception):
    """Slurm will not do a step that cannot be left out."""


class Driver:
    """Executes decisions; one :meth:`drive` for each at a time."""

    def __init__(
        self,
        slurm: Slurm,
        store: Store,
        clock: Clock,
        limits: Limits,
        before_release: Callable[[AttemptRecord], Awaitable[None]],
        checkpoint: Callable[[str], None] = no_checkpoint,
    ) -> None:
        self._slurm = slurm
        self._store = store
        self._clock = clock
        self._limits = limits
        self._before_release = before_release
        self._checkpoint = checkpoint

    async def drive(self, job: JobRecord, attempt: AttemptRecord) -> None:
        """Runs the decision on ``attempt`` to its end, however often Slurm or the store fail."""
        delay = QUICK
        while True:
            try:
                move = await self._once(job, attempt)
            except (SlurmUnavailable, StoreUnavailable) as error:
                log.warning("recovery_waits", job=job.job_id, attempt=attempt.idx, why=str(error))
                move = Wait(str(error))
            match move:
                case End():
                    return
                case Do():
                    delay = QUICK
                case Wait(until=until):
                    delay = min(delay * 1.5, SLOW) if until is None else self._left(until)
            await asyncio.sleep(delay)

    def _left(self, until: datetime) -> float:
        """Seconds until a moment, within the bounds of one wait."""
        return min(max((until - self._clock()).total_seconds(), QUICK), SLOW)

    async def _once(self, job: JobRecord, attempt: AttemptRecord) -> Move:
        """One look and at most one step; what came of it tells how soon to look again."""
        decision = await self._store.decision(attempt.id)
        if decision is None or decision.state is not DecisionState.OPEN:
            return _OVER
        situation = await self._look(decision, job, attempt)
        move = next_move(situation)
        if isinstance(move, End):
            await self._close(decision, job, attempt, move, "")
        elif isinstance(move, Do):
            return await self._do(move, decision, job, attempt, situation)
        return move

    async def _look(
        self, decision: DecisionRecord, job: JobRecord, attempt: AttemptRecord
    ) -> Situation:
        seen = await self._slurm.job(job.job_id)
        following = await self._next_job(job) if decision.verb is Verb.CHAIN else None
        return Situation(
            verb=decision.verb,
            attempt=attempt.idx,
            job=seen,
            settled=frozenset(a.step for a in decision.actions if _settled(a)),
            begun=frozenset(a.step for a in decision.actions if _begun(a)),
            now=self._clock(),
            hold_deadline=decision.hold_deadline,
            next_job=following,
        )

    async def _next_job(self, job: JobRecord) -> JobInfo | None:
        everyone = await self._slurm.jobs()
        return next_in_chain(
            everyone, uid=job.uid, name=job.name, after=job.raw_id, opted_in=self._in_chain
        )

    def _in_chain(self, comment: str) -> bool:
        directive = parse_directive(comment, self._limits)
        return isinstance(directive, Directive) and directive.mode is ResumeMode.SINGLETON

    async def _do(
        self,
        move: Do,
        decision: DecisionRecord,
        job: JobRecord,
        attempt: AttemptRecord,
        situation: Situation,
    ) -> Move:
        step = move.step
        action = next(a for a in decision.actions if a.step is step)
        target = _target(step, job, situation)
        if step is Step.RELEASE:
            await self._before_release(attempt)
        self._checkpoint(f"before_claim:{step}")
        await self._store.claim(action, self._clock(), target)
        self._checkpoint(f"claimed:{step}")
        if step in KILLING and not await self._still(step, decision, job, attempt):
            await self._finish(action, attempt, ActionState.SKIPPED, "Slurm shows otherwise by now")
            return move
        try:
            result = await self._command(step, target, decision, attempt, situation.job)
        except SlurmRejected as error:
            return await self._rejected(error, action, decision, job, attempt)
        self._checkpoint(f"ran:{step}")
        await self._finish(action, attempt, ActionState.DONE, result)
        self._checkpoint(f"finished:{step}")
        log.info("action_done", job=target, attempt=attempt.idx, step=step.value, did=result)
        return move

    async def _still(
        self, step: Step, decision: DecisionRecord, job: JobRecord, attempt: AttemptRecord
    ) -> bool:
        return next_move(await self._look(decision, job, attempt)) == Do(step)

    async def _command(
        self,
        step: Step,
        target: str,
        decision: DecisionRecord,
        attempt: AttemptRecord,
        seen: JobInfo | None,
    ) -> str:
        slurm = self._slurm
        match step:
            case Step.REQUEUE_HOLD:
                await slurm.requeue_hold(target)
                return f"scontrol requeuehold {target}"
            case Step.CANCEL:
                await slurm.cancel(target)
                return f"scancel {target}"
            case Step.RELEASE | Step.RELEASE_NEXT:
                await slurm.release(target)
                return f"scontrol release {target}"
            case Step.ANNOUNCE | Step.UPDATE:
                change = _change(step, decision, attempt, seen)
                await slurm.update(target, change)
                return shlex.join(["scontrol", "update", f"JobId={target}", *change.words()])

    async def _rejected(
        self,
        error: SlurmRejected,
        action: ActionRecord,
        decision: DecisionRecord,
        job: JobRecord,
        attempt: AttemptRecord,
    ) -> Move:
        log.warning("slurm_refused", job=job.job_id, step=action.step.value, why=str(error))
        await self._finish(action, attempt, ActionState.FAILED, str(error))
        if action.step in OPTIONAL or error.code == Refusal.UNKNOWN_JOB:
            return Do(action.step)
        if error.code == Refusal.WRONG_STATE or action.step is Step.RELEASE:
            return Wait(str(error))
        end = End(DecisionState.ABANDONED, Outcome.REFUSED_BY_SLURM)
        await self._close(decision, job, attempt, end, str(error))
        return end

    async def _finish(
        self, action: ActionRecord, attempt: AttemptRecord, state: ActionState, result: str
    ) -> None:
        await self._store.finish(action, attempt, state, result, self._clock())

    async def _close(
        self,
        decision: DecisionRecord,
        job: JobRecord,
        attempt: AttemptRecord,
        end: End,
        detail: str,
    ) -> None:
        state, outcome, now = end.state, end.outcome, self._clock()
        await self._store.close_decision(decision, attempt, state, outcome, detail, now)
        log.info(
            "decision_closed",
            job=job.job_id,
            attempt=attempt.idx,
            decision=decision.id,
            state=state.value,
            outcome=outcome.value,
        )


def _settled(action: ActionRecord) -> bool:
    over = action.state in (ActionState.DONE, ActionState.SKIPPED)
    return over or (action.step in OPTIONAL and action.state is ActionState.FAILED)


def _begun(action: ActionRecord) -> bool:
    return action.state in (ActionState.CLAIMED, ActionState.DONE)


def _target(step: Step, job: JobRecord, situation: Situation) -> str:
    if step is Step.RELEASE_NEXT and situation.next_job is not None:
        return situation.next_job.job_id
    return job.job_id


def _change(
    step: Step, decision: DecisionRecord, attempt: AttemptRecord, seen: JobInfo | None
) -> JobUpdate:
    before = seen.admin_comment if seen else ""
    comment = with_mark(before, Mark(attempt.idx, decision.hold_deadline, decision.reason))
    said = None if comment == before else comment
    if step is Step.ANNOUNCE:
        return JobUpdate(admin_comment=said)
    excluded = seen.exclude_nodes if seen else ""
    return JobUpdate(
        start_at=earliest_start(seen) if seen else None,
        exclude_nodes=merged_nodes(excluded, decision.exclude_nodes),
        admin_comment=said,
    )


def merged_nodes(before: str, more: str) -> str | None:
    """Both node lists as one, or None when ``more`` adds nothing."""
    if not more:
        return None
    merged = str(NodeSet(before) | NodeSet(more))
    return None if NodeSet(merged) == NodeSet(before) else merged
