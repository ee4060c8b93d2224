"""Carries out one decision: look, do the next missing step, look again.

What to do comes from :mod:`ajrd.recovery.sequence`; this module only runs it against Slurm and
writes down each step before and after. A step is *claimed* before its command runs, so after a
crash it is known that it may have run. Three things stand between a claim and a command that kills:
the job is read once more, the lease must not have run out, and that look must be fresh, for this
process may have been frozen in between.

When the store stays away for longer than ``store_grace`` a decision is carried on in memory
(:mod:`ajrd.recovery.notebook`).
"""

from __future__ import annotations

import asyncio
import random
import shlex
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog
from ClusterShell.NodeSet import NodeSet

from ajrd.clock import ticks
from ajrd.errors import SlurmRejected, SlurmUnavailable, StoreUnavailable
from ajrd.model import ActionState, DecisionState, Directive, JobInfo, ResumeMode, Step, Verb
from ajrd.policy.directive import parse_directive
from ajrd.recovery.chain import next_in_chain
from ajrd.recovery.leadership import Leads
from ajrd.recovery.notebook import Book, Notebook, claimed
from ajrd.recovery.sequence import (
    Contest,
    Do,
    End,
    Move,
    Outcome,
    Situation,
    Wait,
    next_move,
)
from ajrd.recovery.settings import Clock, Settings, no_checkpoint
from ajrd.recovery.tracking import same_submission
from ajrd.slurm.admin_comment import Mark, read_mark, with_mark
from ajrd.slurm.base import JobUpdate, Refusal, Slurm, earliest_start
from ajrd.store.records import ActionRecord, AttemptRecord, DecisionRecord, JobRecord
from ajrd.store.store import Store

log = structlog.get_logger("ajrd.recovery")

#: Steps that kill: the job is read once more between the claim and the command.
KILLING = frozenset({Step.REQUEUE_HOLD, Step.CANCEL})
#: Steps that may fail without harm: the recovery goes on without them, unless it may pass.
OPTIONAL = frozenset({Step.ANNOUNCE, Step.UPDATE})
#: Refusals that may pass: the state changes, or a controller that is taking over asks the wrong
#: MUNGE or user database.
PASSING = frozenset({Refusal.WRONG_STATE, Refusal.NOT_PERMITTED})
#: So often such a step is tried, with up to SLOW seconds in between. A release is never given up.
MAX_TRIES = 60
#: So often a successor's start is set: a slurmctld that dies forgets its last seconds.
MAX_UPDATES = 5
#: What a requeue makes a job wait, beyond the second of its kill (``batch_requeue_fini``).
REQUEUE_WAIT = timedelta(seconds=120)
#: A decision that needs nothing more, whoever has closed it.
_OVER = End(DecisionState.CONVERGED, Outcome.LEFT_ALONE)
#: Seconds between looks while Slurm works, and while a job waits for resources.
QUICK, SLOW = 0.02, 2.0
#: Seconds. The successor of a requeue starts no sooner than in the next second after its kill
#: (:mod:`~.sequence`), and after two minutes unless somebody hurries it. A kill that follows a look
#: by less than this hits it only if an administrator has requeued the job *and* hurried it in
#: between. Under a lease no other ajrd has: then it counts from the answer, which a controller
#: under load may give seconds after the question.
FRESH = 0.5


@dataclass(slots=True)
class Run:
    """One decision being carried out. ``last`` is how it was last seen or changed.

    ``away_since``: the first of the failures of the store in a row. ``abandon`` says who wants the
    decision to end; ``hurry``: that its hold end now, whatever its successor was to wait for.
    """

    job: JobRecord
    attempt: AttemptRecord
    book: Book
    last: DecisionRecord | None = None
    away_since: datetime | None = None
    abandon: str = ""
    hurry: bool = False

    @property
    def notebook(self) -> Notebook | None:
        """The book, if it is not the store."""
        return self.book if isinstance(self.book, Notebook) else None

    async def claim(self, action: ActionRecord, now: datetime, target: str) -> None:
        """Says that a command is about to run, and remembers that."""
        await self.book.claim(action, now, target)
        if self.last is not None:
            actions = claimed(self.last.actions, action, now, target)
            self.last = replace(self.last, actions=actions)


class Driver:
    """Executes decisions; one :class:`Run` for each at a time."""

    def __init__(
        self,
        slurm: Slurm,
        store: Store,
        leads: Leads,
        settings: Settings,
        clock: Clock,
        before_release: Callable[[AttemptRecord], Awaitable[None]],
        checkpoint: Callable[[str], None] = no_checkpoint,
    ) -> None:
        self._slurm = slurm
        self._store = store
        self._leads = leads
        self._clock = clock
        self.settings = settings
        self._before_release = before_release
        self._checkpoint = checkpoint

    def begin(
        self, job: JobRecord, attempt: AttemptRecord, notebook: Notebook | None = None
    ) -> Run:
        """A run of the decision on ``attempt``, in the store or in a notebook."""
        return Run(job, attempt, notebook or self._store)

    async def drive(self, run: Run) -> None:
        """Steps until the decision is over, however often Slurm or the store fail."""
        delay = QUICK
        while True:
            match await self.step(run):
                case End():
                    return
                case Do():
                    delay = QUICK
                case Wait(until=until):
                    delay = min(delay * 1.5, SLOW) if until is None else self._left(until)
            await asyncio.sleep(delay * random.uniform(0.8, 1.2))  # noqa: S311 -- spreads retries

    async def step(self, run: Run) -> Move:
        """One look and at most one step; what came of it tells how soon to look again."""
        try:
            move = await self._once(run)
        except (SlurmUnavailable, StoreUnavailable) as error:
            move = Wait(str(error))
            log.warning("recovery_waits", job=run.job.job_id, why=str(error))
            if isinstance(error, StoreUnavailable):
                self._without_store(run)
        else:
            run.away_since = None
        return move

    def _without_store(self, run: Run) -> None:
        """After ``store_grace`` an open decision goes on in memory."""
        run.away_since = run.away_since or self._clock()
        waited = (self._clock() - run.away_since).total_seconds()
        if run.last is not None and waited >= self.settings.store_grace:
            run.book, run.away_since = Notebook.continuing(run.last), None
            log.warning("degraded", job=run.job.job_id, attempt=run.attempt.idx)

    def _left(self, until: datetime) -> float:
        """Seconds until a moment, within the bounds of one wait."""
        return min(max((until - self._clock()).total_seconds(), QUICK), SLOW)

    async def _once(self, run: Run) -> Move:
        decision = run.last = await run.book.decision(run.attempt.id)
        if decision is None or decision.state is not DecisionState.OPEN:
            return _OVER
        situation = await self._look(decision, run)
        move = next_move(situation)
        if isinstance(move, End):
            return await self._end(decision, run, move, situation)
        if isinstance(move, Do):
            return await self._do(move, decision, run, situation)
        return move

    async def _look(self, decision: DecisionRecord, run: Run) -> Situation:
        now = self._clock()
        seen = await self._slurm.job(run.job.job_id)
        if seen is not None and not same_submission(run.job, seen):
            seen = None
        following = await self._next_job(run.job) if decision.verb is Verb.CHAIN else None
        return Situation(
            verb=decision.verb,
            attempt=run.attempt.idx,
            job=seen,
            settled=frozenset(a.step for a in decision.actions if _settled(a, seen)),
            begun=frozenset(a.step for a in decision.actions if _begun(a)),
            now=now,
            hold_deadline=decision.hold_deadline,
            start_delay=0.0 if run.hurry else decision.start_delay,
            updated_at=_finished_at(decision, Step.UPDATE),
            contest=self._contest(decision, seen) if run.notebook else None,
            next_job=following,
            abandoning=bool(run.abandon),
        )

    def _contest(self, decision: DecisionRecord, seen: JobInfo | None) -> Contest:
        announced = _finished_at(decision, Step.ANNOUNCE)
        until = (announced or self._clock()) + timedelta(seconds=self.settings.contest)
        mark = read_mark(seen.admin_comment) if seen else None
        return Contest(mark.by if mark else "", self._leads.name, until)

    async def _next_job(self, job: JobRecord) -> JobInfo | None:
        everyone = await self._slurm.jobs()
        return next_in_chain(
            everyone, uid=job.uid, name=job.name, after=job.raw_id, opted_in=self._in_chain
        )

    def _in_chain(self, comment: str) -> bool:
        directive = parse_directive(comment, self.settings.limits)
        return isinstance(directive, Directive) and directive.mode is ResumeMode.SINGLETON

    async def _do(self, move: Do, decision: DecisionRecord, run: Run, situation: Situation) -> Move:
        step = move.step
        action = next(a for a in decision.actions if a.step is step)
        target = _target(step, run.job, situation)
        if step is Step.RELEASE:
            await self._before_release(run.attempt)
        await run.claim(action, self._clock(), target)
        asked = ticks()
        if step in KILLING and next_move(await self._look(decision, run)) != move:
            await self._finish(action, run, ActionState.SKIPPED, "Slurm shows otherwise by now")
            return move
        looked = asked if run.notebook else ticks()
        self._checkpoint(f"looked:{step}")
        if not (run.notebook or self._leads.may_act()):
            return Wait("the lease could not be renewed")
        if step in KILLING and ticks() - looked > FRESH:
            return Wait("the look at the job is not fresh enough to kill by")
        try:
            result = await self._command(step, target, decision, run, situation)
        except SlurmRejected as error:
            return await self._rejected(error, action, decision, run)
        self._checkpoint(f"ran:{step}")
        await self._finish(action, run, ActionState.DONE, result)
        log.info("action_done", job=target, attempt=run.attempt.idx, step=step.value, did=result)
        return move

    async def _command(
        self, step: Step, target: str, decision: DecisionRecord, run: Run, situation: Situation
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
                change = _change(step, decision, self._mark(decision, run), situation)
                await slurm.update(target, change)
                return shlex.join(["scontrol", "update", f"JobId={target}", *change.words()])

    async def _rejected(
        self, error: SlurmRejected, action: ActionRecord, decision: DecisionRecord, run: Run
    ) -> Move:
        """What a refusal means. A try before it that got no answer may still be carried out."""
        step, code = action.step, error.code
        log.warning("slurm_refused", job=run.job.job_id, step=step.value, why=str(error))
        passing = code in PASSING and action.tries + 1 < MAX_TRIES
        if step in OPTIONAL:
            again = passing and code == Refusal.NOT_PERMITTED
            state = ActionState.INTENDED if again else ActionState.FAILED
            await self._finish(action, run, state, str(error))
            return Wait(str(error)) if again else Do(step)
        state = ActionState.CLAIMED if action.state is ActionState.CLAIMED else ActionState.FAILED
        await self._finish(action, run, state, str(error))
        if code == Refusal.UNKNOWN_JOB:
            return Do(step)
        if step is Step.RELEASE or passing:
            return Wait(str(error))
        begun = state is ActionState.CLAIMED
        await self._unmark(decision, run, run.attempt.idx, begun=begun)
        end = End(DecisionState.ABANDONED, Outcome.REFUSED_BY_SLURM)
        await self._close(decision, run, end, str(error))
        return end

    async def _unmark(
        self, decision: DecisionRecord, run: Run, restarts: int, *, begun: bool
    ) -> None:
        """AdminComment must not promise a hold that will not come: a later one is not ours.

        Nor must it count a requeue that has not ``begun``. After further ``restarts`` than were
        seen another word may stand there.
        """
        seen = await self._slurm.job(run.job.job_id)
        if seen is None or seen.restarts != restarts or not same_submission(run.job, seen):
            return
        used = decision.used - (decision.verb is Verb.REQUEUE and not begun)
        reason = f"given up: {decision.reason}"
        mark = replace(self._mark(decision, run), hold_deadline=None, used=used, reason=reason)
        with suppress(SlurmRejected):
            comment = with_mark(seen.admin_comment, mark)
            await self._slurm.update(seen.job_id, JobUpdate(admin_comment=comment))

    def _mark(self, decision: DecisionRecord, run: Run) -> Mark:
        name, idx = self._leads.name, run.attempt.idx
        return Mark(idx, decision.hold_deadline, decision.reason, decision.used, name)

    async def _finish(
        self, action: ActionRecord, run: Run, state: ActionState, result: str
    ) -> None:
        await run.book.finish(action, run.attempt, state, result, self._clock())

    async def _end(
        self, decision: DecisionRecord, run: Run, end: End, situation: Situation
    ) -> Move:
        """Closes a decision; one that ends before its hold takes the word of it back.

        That is a command: who has lost the lease would take back the word of whoever has it.
        """
        seen = situation.job
        asked = end.outcome is Outcome.ABANDONED_BY_REQUEST
        promised = Step.ANNOUNCE in situation.begun and not situation.requeue_begun
        if seen is not None and promised and (asked or _stands(decision, end)):
            if not (run.notebook or self._leads.may_act()):
                return Wait("the lease could not be renewed")
            await self._unmark(decision, run, seen.restarts, begun=False)
        await self._close(decision, run, end, run.abandon if asked else _detail(end, seen))
        return end

    async def _close(self, decision: DecisionRecord, run: Run, end: End, detail: str) -> None:
        state, outcome, now = end.state, end.outcome, self._clock()
        await run.book.close_decision(decision, run.attempt, state, outcome, detail, now)
        log.info(
            "decision_closed",
            job=run.job.job_id,
            attempt=run.attempt.idx,
            decision=decision.id,
            state=state.value,
            outcome=outcome.value,
        )


def _stands(decision: DecisionRecord, end: End) -> bool:
    """Would the word of a requeue be taken for that of somebody else's hold or requeue?"""
    by_others = end.outcome in (Outcome.HELD_BY_OTHERS, Outcome.REQUEUED_BY_OTHERS)
    return decision.verb is Verb.REQUEUE and by_others


def _detail(end: End, seen: JobInfo | None) -> str:
    """Slurm's word for a hold that is not ours."""
    return seen.reason if seen and end.outcome is Outcome.HELD_BY_OTHERS else ""


def _finished_at(decision: DecisionRecord, step: Step) -> datetime | None:
    return next((a.finished_at for a in decision.actions if a.step is step), None)


def _settled(action: ActionRecord, seen: JobInfo | None) -> bool:
    over = action.state in (ActionState.DONE, ActionState.SKIPPED)
    if action.step is Step.UPDATE and over and action.tries < MAX_UPDATES and seen:
        return not _waits_as_requeued(seen)
    return over or (action.step in OPTIONAL and action.state is ActionState.FAILED)


def _waits_as_requeued(seen: JobInfo) -> bool:
    """Does the job show the start that a requeue gives it? Then slurmctld has forgotten ours."""
    start = seen.eligible_time
    return start is not None and start - earliest_start(seen) > REQUEUE_WAIT / 2


def _begun(action: ActionRecord) -> bool:
    if action.step in OPTIONAL:
        return action.tries > 0
    return action.state in (ActionState.CLAIMED, ActionState.DONE)


def _target(step: Step, job: JobRecord, situation: Situation) -> str:
    if step is Step.RELEASE_NEXT and situation.next_job is not None:
        return situation.next_job.job_id
    return job.job_id


def _change(step: Step, decision: DecisionRecord, mark: Mark, situation: Situation) -> JobUpdate:
    seen = situation.job
    before = seen.admin_comment if seen else ""
    comment = with_mark(before, mark)
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
