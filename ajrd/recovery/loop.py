"""The reconcile loop: looks at Slurm, weighs the evidence, decides when it is ripe.

Level-triggered: each turn starts from what Slurm shows and what the store holds. The loop
itself changes no job; a decision that is to be executed is handed to
:class:`~ajrd.recovery.driver.Driver`, in a task of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta

import structlog

from ajrd.errors import SlurmUnavailable, StoreUnavailable
from ajrd.model import Anomaly, DecisionState, Directive, Verb, Verdict
from ajrd.policy.decide import Case, Plan, decide
from ajrd.policy.directive import NotManaged, parse_directive
from ajrd.policy.evidence import Pulse, Ripeness, weigh
from ajrd.recovery.driver import Driver
from ajrd.recovery.jobs import Jobs
from ajrd.recovery.nodes import suspects
from ajrd.recovery.sequence import STEPS, Outcome
from ajrd.recovery.settings import Clock, Detection, Logs, Settings, no_checkpoint
from ajrd.recovery.watched import Watched
from ajrd.slurm.base import Slurm
from ajrd.store.records import AnomalyRecord, AttemptRecord, DecisionRecord, JobRecord
from ajrd.store.store import Store

log = structlog.get_logger("ajrd.recovery")

#: The shortest sleep between two turns of the loop, seconds.
NAP = 0.005


class Recovery:
    """The loop. :meth:`run` until cancelled; :meth:`learn` brings new evidence."""

    def __init__(
        self,
        slurm: Slurm,
        store: Store,
        logs: Logs,
        detection: Detection,
        settings: Settings,
        clock: Clock,
        checkpoint: Callable[[str], None] = no_checkpoint,
    ) -> None:
        self._slurm = slurm
        self._store = store
        self._logs = logs
        self._detection = detection
        self._clock = clock
        self._checkpoint = checkpoint
        self._settings = settings
        self._jobs = Jobs(slurm, store, logs, settings, clock)
        self._driver = Driver(
            slurm, store, clock, settings.limits, self._drain_before_release, checkpoint
        )
        self._wake = asyncio.Event()
        self._tasks = asyncio.TaskGroup()
        self.looked = asyncio.Event()

    def configure(self, settings: Settings) -> None:
        """Takes over new settings; decisions already made stay as they are."""
        self._settings = self._jobs.settings = settings
        self._wake.set()

    def learn(self, attempt: int, new: list[AnomalyRecord], pulse: Pulse | None) -> None:
        """New evidence of an attempt, already in the store."""
        watched = self._jobs.by_attempt.get(attempt)
        if watched is None:
            return
        watched.anomalies.extend(new)
        if pulse is not None:
            watched.pulses[pulse.source] = pulse
        if new:
            self._wake.set()

    async def run(self) -> None:
        """Looks, decides, sleeps; ends only by cancellation."""
        async with self._tasks:
            next_look = self._clock()
            while True:
                if self._clock() >= next_look:
                    await self._guarded(self._look(), "look")
                    next_look = self._clock() + timedelta(seconds=self._settings.poll)
                for watched in list(self._jobs.watched.values()):
                    await self._guarded(self._consider(watched), "consider")
                await self._sleep_until(next_look)

    async def _guarded(self, work: Coroutine[None, None, None], what: str) -> None:
        """Silence of Slurm or the store is never news: say so and look again later."""
        try:
            await work
        except (SlurmUnavailable, StoreUnavailable) as error:
            log.warning("unknown", doing=what, why=str(error))

    async def _look(self) -> None:
        if not self._jobs.cluster:
            self._jobs.cluster = (await self._slurm.cluster()).name
            await self._resume()
        await self._jobs.look()
        self.looked.set()

    async def _resume(self) -> None:
        """Open decisions of an earlier run go on from wherever they are."""
        for job in await self._store.open_jobs(self._jobs.cluster):
            for attempt in await self._store.attempts(job.id):
                decision = await self._store.decision(attempt.id)
                if decision is not None and decision.state is DecisionState.OPEN:
                    self._drive(job, attempt)

    async def _sleep_until(self, next_look: datetime) -> None:
        dues = (self._due(watched) for watched in self._jobs.watched.values())
        until = min([next_look, *(due for due in dues if due is not None)])
        self._wake.clear()
        seconds = max((until - self._clock()).total_seconds(), NAP)
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()

    def _due(self, watched: Watched) -> datetime | None:
        """When to consider a job, if that lies ahead; what is overdue waits for the next look."""
        if watched.settled:
            return None
        due = self._weigh(watched).due
        return due if due is not None and due > self._clock() else None

    def _weigh(self, watched: Watched) -> Ripeness:
        return weigh(
            [record.anomaly for record in watched.anomalies],
            watched.pulses.values(),
            ended=watched.ended,
            settle=self._settings.settle,
            progress_lag=self._settings.progress_lag,
        )

    async def _consider(self, watched: Watched) -> None:
        attempt = watched.attempt
        if attempt is None or not isinstance(watched.directive, Directive):
            return
        if watched.ended and not watched.drained:
            if not watched.draining:
                watched.draining = True
                self._tasks.create_task(self._end(watched, attempt), name=f"end-{attempt.id}")
            return
        if watched.settled:
            return
        ripe = self._weigh(watched)
        if ripe.due is not None and self._clock() >= ripe.due:
            await self._decide(watched, attempt, ripe.standing)

    async def _end(self, watched: Watched, attempt: AttemptRecord) -> None:
        """Reads what an ended attempt has left behind, and what its end state says."""
        try:
            await self._drain(attempt)
            await self._logs.leave(attempt.id)
            await self._note_end_state(watched, attempt)
            watched.drained = True
            self._wake.set()
        except StoreUnavailable as error:
            log.warning("unknown", doing="end of attempt", why=str(error))
        finally:
            watched.draining = False

    async def _drain(self, attempt: AttemptRecord) -> None:
        if await self._logs.drain(attempt.id, self._settings.drain_limit):
            return
        message = "some logs could not be read to their end"
        await self._store.log(
            self._clock(), "drain_incomplete", message, job=attempt.job, attempt_idx=attempt.idx
        )

    async def _note_end_state(self, watched: Watched, attempt: AttemptRecord) -> None:
        finding = self._detection.from_end_state(watched.seen)
        if finding is None or watched.seen.restarts != attempt.idx:
            return
        now = self._clock()
        anomaly = Anomaly(finding, "slurm", now)
        new = await self._store.record_evidence(attempt, [anomaly], None, None, now)
        self.learn(attempt.id, new, None)

    async def _decide(
        self, watched: Watched, attempt: AttemptRecord, evidence: tuple[Anomaly, ...]
    ) -> None:
        amount = len(watched.anomalies)
        verdict = self._detection.classify(evidence)
        if verdict.cause is None:
            watched.weighed = amount
            return
        verdict = replace(verdict, nodes=suspects(verdict.nodes, attempt.nodes))
        plan = await self._plan(watched.record, attempt, verdict)
        record = self._decision(plan, attempt, verdict, watched.anomalies)
        steps = STEPS[plan.verb] if record.state is DecisionState.OPEN else ()
        await self._store.write_decision(record, watched.record, attempt, steps)
        self._checkpoint("decision_written")
        watched.decided = True
        log.info(
            "decision",
            job=watched.record.job_id,
            attempt=attempt.idx,
            verb=plan.verb.value,
            state=record.state.value,
            reason=plan.reason,
        )
        if record.state is DecisionState.OPEN:
            self._drive(watched.record, attempt)

    async def _plan(self, job: JobRecord, attempt: AttemptRecord, verdict: Verdict) -> Plan:
        """Decides on the job as Slurm shows it this moment, with its newest comment."""
        what = f"{verdict.kind} {verdict.cause}"
        fresh = await self._slurm.job(job.job_id)
        if fresh is None:
            return Plan(Verb.LEAVE, "job_unknown", f"{what}, but Slurm has forgotten the job")
        if fresh.restarts != attempt.idx:
            return Plan(Verb.LEAVE, "requeued_by_others", f"{what}, requeued already by others")
        directive = parse_directive(fresh.comment, self._settings.limits)
        if isinstance(directive, NotManaged):
            return Plan(Verb.LEAVE, "not_managed", f"{what}, left alone: {directive}")
        used = await self._store.requeues_begun(job.id) + job.restarts_before
        return decide(Case(fresh, directive, verdict, used, self._settings.site))

    def _decision(
        self, plan: Plan, attempt: AttemptRecord, verdict: Verdict, evidence: list[AnomalyRecord]
    ) -> DecisionRecord:
        now = self._clock()
        act, leave = self._settings.site.act, plan.verb is Verb.LEAVE
        executed = act and not leave
        state = DecisionState.OPEN if executed else DecisionState.OBSERVED
        hold = now + timedelta(seconds=self._settings.hold_limit)
        return DecisionRecord(
            id=0,
            attempt=attempt.id,
            anomaly=_row_of(verdict, evidence),
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
        )

    def _drive(self, job: JobRecord, attempt: AttemptRecord) -> None:
        self._tasks.create_task(self._drive_to_end(job, attempt), name=f"drive-{attempt.id}")

    async def _drive_to_end(self, job: JobRecord, attempt: AttemptRecord) -> None:
        watched = self._jobs.watched.get(job.job_id)
        if watched is not None:
            watched.driving = True
        try:
            await self._driver.drive(job, attempt)
        finally:
            if watched is not None:
                watched.driving = False
            self._wake.set()

    async def _drain_before_release(self, attempt: AttemptRecord) -> None:
        """The successor truncates the batch log: what stands there must be read before."""
        await self._logs.drain(attempt.id, self._settings.drain_limit)


def _row_of(verdict: Verdict, records: list[AnomalyRecord]) -> int | None:
    return next((r.id for r in records if r.anomaly.finding == verdict.finding), None)
