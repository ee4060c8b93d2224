"""What should happen to a broken attempt: evidence to verdict to plan, and written down.

The judgement itself is pure (:mod:`ajrd.detect`, :mod:`ajrd.policy`); here it is given what it
needs: the job as Slurm shows it this moment, its newest comment, the budget used. A decision is
written into the store before anything is done, or, when the store has been away for
``store_grace``, into a :class:`~ajrd.recovery.notebook.Notebook`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta

import structlog

from ajrd.errors import StoreUnavailable
from ajrd.model import DecisionState, JobInfo, RequestState, Verb, Verdict
from ajrd.policy.asked import Wish, requeue_as_asked
from ajrd.policy.decide import Case, Plan, decide
from ajrd.policy.directive import NotManaged, parse_directive
from ajrd.policy.evidence import Ripeness
from ajrd.policy.fruitless import Past
from ajrd.policy.nodes import Known
from ajrd.recovery import tracking
from ajrd.recovery.jobs import Jobs
from ajrd.recovery.nodes import suspects
from ajrd.recovery.notebook import Notebook
from ajrd.recovery.sequence import STEPS, Outcome
from ajrd.recovery.settings import Clock, Detection, Settings
from ajrd.recovery.watched import Chapter, Watched
from ajrd.slurm.admin_comment import read_mark
from ajrd.slurm.base import Slurm
from ajrd.store.records import (
    AnomalyRecord,
    Answer,
    AttemptRecord,
    DecisionRecord,
    JobRecord,
    RequestRecord,
    Suspicion,
)
from ajrd.store.store import Store

log = structlog.get_logger("ajrd.recovery")


class Deciding:
    """Decides on attempts whose evidence is ripe; each gets one decision."""

    def __init__(
        self,
        slurm: Slurm,
        store: Store,
        jobs: Jobs,
        detection: Detection,
        settings: Settings,
        clock: Clock,
        known: Callable[[], Known] = Known,
    ) -> None:
        self._slurm = slurm
        self._store = store
        self._jobs = jobs
        self._detection = detection
        self._clock = clock
        self._known = known
        self.settings = settings

    async def decide(self, watched: Watched, chapter: Chapter, ripe: Ripeness) -> bool:
        """Writes down a decision, in the chapter's notebook if the store has been away for long.

        False if the evidence means nothing. Raises StoreUnavailable or SlurmUnavailable as long as
        it has to wait.
        """
        amount = len(chapter.evidence)
        verdict = self._detection.classify(ripe.standing)
        if verdict.cause is None:
            chapter.weighed = amount
            return False
        verdict = replace(verdict, nodes=suspects(verdict.nodes, chapter.attempt.nodes))
        try:
            await self._decide_in_store(watched, chapter, verdict)
        except StoreUnavailable:
            assert ripe.due is not None
            waited = (self._clock() - ripe.due).total_seconds()
            if waited < self.settings.store_grace or not self.settings.site.act:
                raise
            await self._decide_in_memory(watched, chapter, verdict)
        return True

    async def _decide_in_store(self, watched: Watched, chapter: Chapter, verdict: Verdict) -> None:
        await self._jobs.save(watched)
        job, attempt = watched.record, chapter.attempt
        used = await self._store.requeues_begun(job.id) + job.restarts_before
        attempts = await self._store.attempts(job.id)
        failures = await self._store.failures(job.id)
        past = tracking.past(attempts, failures, self._clock())
        plan = await self._plan(job, attempt, verdict, used, past)
        record = self._decision(plan, attempt, verdict, chapter.anomalies)
        await self._write(watched, chapter, record, _suspicions(verdict, plan))

    async def _decide_in_memory(self, watched: Watched, chapter: Chapter, verdict: Verdict) -> None:
        """Without the store, Slurm's restart counter is the budget: it can only be stricter."""
        if not self._jobs.complete:
            raise StoreUnavailable("what was decided before could never be read")
        job, attempt = watched.record, chapter.attempt
        plan = await self._plan(job, attempt, verdict, attempt.idx, ())
        if plan.verb is Verb.LEAVE or (plan.verb is Verb.STOP and chapter.ended):
            raise StoreUnavailable("nothing is to be done that could not wait")
        record = self._decision(plan, attempt, verdict, [])
        suspects = _suspicions(verdict, plan)
        chapter.notebook = Notebook.begun(record, job.job_id, STEPS[plan.verb], suspects)
        chapter.decided = True
        self._say(job, attempt, record, degraded=True)

    async def _write(
        self,
        watched: Watched,
        chapter: Chapter,
        record: DecisionRecord,
        suspects: Sequence[Suspicion] = (),
        answer: Answer | None = None,
    ) -> None:
        job, attempt = watched.record, chapter.attempt
        steps = STEPS[record.verb] if record.state is DecisionState.OPEN else ()
        await self._store.write_decision(record, job, attempt, steps, suspects, answer)
        chapter.decided = True
        self._say(job, attempt, record, degraded=False)

    async def requeue_as_asked(
        self, watched: Watched, chapter: Chapter, fresh: JobInfo, request: RequestRecord
    ) -> str | None:
        """Writes down a requeue that somebody asks for, together with the answer to the request.

        A sentence instead if it must not be. ``fresh`` is the job with the attempt of the chapter,
        which is stored and has no decision.
        """
        job, attempt = watched.record, chapter.attempt
        begun = await self._store.requeues_begun(job.id) + job.restarts_before
        wish = Wish(
            by=request.by,
            why=request.reason,
            job=fresh,
            directive=parse_directive(fresh.comment, self.settings.limits),
            used=_used(begun, fresh, attempt),
            ceiling=self.settings.limits.ceiling,
            site=self.settings.site,
            taken_over_by=self._jobs.dependents.let_go(fresh),
            known=self._known(),
        )
        plan = requeue_as_asked(wish)
        if isinstance(plan, str):
            return plan
        answer = Answer(request, RequestState.DONE, plan.reason)
        record = self._decision(plan, attempt)
        await self._write(watched, chapter, record, answer=answer)
        return None

    def _say(
        self, job: JobRecord, attempt: AttemptRecord, record: DecisionRecord, *, degraded: bool
    ) -> None:
        log.info(
            "decision",
            job=job.job_id,
            attempt=attempt.idx,
            verb=record.verb.value,
            state=record.state.value,
            reason=record.reason,
            degraded=degraded,
        )

    async def _plan(
        self,
        job: JobRecord,
        attempt: AttemptRecord,
        verdict: Verdict,
        used: int,
        past: Sequence[Past],
    ) -> Plan:
        """Decides on the job as Slurm shows it this moment, with its newest comment."""
        what = f"{verdict.kind} {verdict.cause}"
        fresh = await self._slurm.job(job.job_id)
        if fresh is None:
            return Plan(Verb.LEAVE, "job_unknown", f"{what}, but Slurm has forgotten the job")
        if fresh.restarts != attempt.idx or not tracking.same_submission(job, fresh):
            return Plan(Verb.LEAVE, "requeued_by_others", f"{what}, requeued already by others")
        directive = parse_directive(fresh.comment, self.settings.limits)
        if isinstance(directive, NotManaged):
            return Plan(Verb.LEAVE, "not_managed", f"{what}, left alone: {directive}")
        case = Case(
            fresh,
            directive,
            verdict,
            used=_used(used, fresh, attempt),
            site=self.settings.site,
            attempts=past,
            no_progress_limit=self.settings.no_progress_limit,
            backoff=self.settings.backoff,
            taken_over_by=self._jobs.dependents.let_go(fresh) if fresh.state.ended else None,
            announced=_announced(fresh, attempt, what),
            known=self._known(),
        )
        return decide(case)

    def _decision(
        self,
        plan: Plan,
        attempt: AttemptRecord,
        verdict: Verdict | None = None,
        evidence: Sequence[AnomalyRecord] = (),
    ) -> DecisionRecord:
        """The decision as it is written; one without a verdict was asked for."""
        now = self._clock()
        act, leave = self.settings.site.act, plan.verb is Verb.LEAVE
        executed = act and not leave
        state = DecisionState.OPEN if executed else DecisionState.OBSERVED
        hold = now + timedelta(seconds=self.settings.hold_limit + plan.start_delay)
        return DecisionRecord(
            id=0,
            attempt=attempt.id,
            anomaly=_row_of(verdict, evidence) if verdict else None,
            verb=plan.verb,
            branch=plan.branch,
            reason=plan.reason,
            exclude_nodes=",".join(plan.exclude_nodes),
            state=DecisionState.CONVERGED if leave else state,
            outcome=Outcome.LEFT_ALONE.value if leave else "",
            detail="" if act or leave else "observe mode: nothing is done",
            hold_deadline=hold if executed and plan.verb is Verb.REQUEUE else None,
            created_at=now,
            closed_at=None if executed else now,
            used=plan.used,
            start_delay=plan.start_delay,
            cause=(verdict.cause if verdict else None) or "",
        )


def _announced(fresh: JobInfo, attempt: AttemptRecord, cause: str) -> bool:
    """Does AdminComment say that ajrd was about to act on the attempt for this cause?"""
    mark = read_mark(fresh.admin_comment)
    return mark is not None and mark.attempt == attempt.idx and mark.reason.startswith(cause)


def _used(begun: int, fresh: JobInfo, attempt: AttemptRecord) -> int:
    """Requeues before an attempt, by the store or by AdminComment: a store may have lost some."""
    mark = read_mark(fresh.admin_comment)
    return max(begun, mark.used_before(attempt.idx) if mark else 0)


def _suspicions(verdict: Verdict, plan: Plan) -> tuple[Suspicion, ...]:
    """The nodes that are to blame, and whether the successor is kept away from each."""
    kind, cause = verdict.kind or "", verdict.cause or ""
    return tuple(Suspicion(n, kind, cause, n in plan.exclude_nodes) for n in verdict.nodes)


def _row_of(verdict: Verdict, records: Sequence[AnomalyRecord]) -> int | None:
    return next((r.id for r in records if r.anomaly.finding == verdict.finding), None)
