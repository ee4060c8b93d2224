"""What people ask for, carried out by the leader: pause, resume, requeue, release, abandon.

Looked at once a turn. A request stays open in the store until it is answered there, so it outlives
any crash, and whoever leads next begins it anew: what was done already shows. A requeue is a
decision, written in one transaction with the answer, and goes through the same driver as any other.
A release and an abandonment of a decision that is being carried out are left to its driver too,
which alone knows between which two steps; the request is answered once it shows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import structlog

from ajrd.clock import ticks
from ajrd.errors import SlurmRejected, SlurmUnavailable
from ajrd.model import (
    ActionState,
    HoldBy,
    JobInfo,
    RequestState,
    RequestVerb,
    Step,
)
from ajrd.policy.asked import OBSERVES
from ajrd.recovery.deciding import Deciding
from ajrd.recovery.driver import Run
from ajrd.recovery.jobs import Jobs
from ajrd.recovery.leadership import Leads
from ajrd.recovery.sequence import Outcome
from ajrd.recovery.settings import Clock
from ajrd.recovery.tracking import has_started, same_submission
from ajrd.recovery.watched import Chapter, Watched
from ajrd.slurm.base import Slurm
from ajrd.slurm.holds import own_hold, release
from ajrd.store.records import Answer, DecisionRecord, RequestRecord
from ajrd.store.store import Store

log = structlog.get_logger("ajrd.requests")

#: Seconds after which the other requests wait for the next look: recovery waits meanwhile.
PATIENCE = 1.0
_GONE = "the job is over: Slurm does not show it any more"
_PAUSED = "paused: nothing is done to the job until it is resumed"
_UNDER_WAY = "; the decision under way is still finished, unless it is abandoned"
_NOT_OURS = {
    HoldBy.NOBODY: "ajrd does not hold the job",
    HoldBy.USER: "the job is held by its user, not by ajrd",
    HoldBy.ADMIN: "the job is held by an administrator, not by ajrd",
    HoldBy.REQUEUE_HOLD: "the job was requeued and held by somebody else, not by ajrd",
}


class Requests:
    """Answers requests. ``driving`` are the decisions that are being carried out, by attempt."""

    def __init__(
        self,
        slurm: Slurm,
        store: Store,
        jobs: Jobs,
        deciding: Deciding,
        leads: Leads,
        clock: Clock,
        driving: Mapping[int, Run],
    ) -> None:
        self._slurm = slurm
        self._store = store
        self._jobs = jobs
        self._deciding = deciding
        self._leads = leads
        self._clock = clock
        self._driving = driving
        self._first = 0

    async def look(self) -> list[tuple[Watched, Chapter]]:
        """Carries out what is open; the attempts with a new decision. Raises StoreUnavailable.

        What a Slurm that is slow or silent leaves no time for has its turn first at the next look.
        """
        decided: list[tuple[Watched, Chapter]] = []
        began = ticks()
        asked = _turns(await self._store.open_requests(self._clock()), self._first)
        self._first = 0
        by_row = {watched.record.id: watched for watched in self._jobs.watched.values()}
        for request in asked:
            watched = by_row.get(request.job)
            try:
                answer = await self._carry_out(request, watched, decided)
            except SlurmUnavailable as error:
                log.warning("request_waits", request=request.id, why=str(error))
                self._first = request.id + 1
                break
            if answer is not None:
                await self._store.answer(answer, self._clock())
                log.info(
                    "request",
                    request=request.id,
                    verb=request.verb.value,
                    by=request.by,
                    state=answer.state.value,
                    result=answer.result,
                )
            if ticks() - began > PATIENCE:
                self._first = request.id + 1
                break
        return decided

    async def _carry_out(
        self,
        request: RequestRecord,
        watched: Watched | None,
        decided: list[tuple[Watched, Chapter]],
    ) -> Answer | None:
        """The answer; None if there is none yet, or if it is written already."""
        if watched is None:
            return _refused(request, _GONE)
        match request.verb:
            case RequestVerb.PAUSE | RequestVerb.RESUME:
                return await self._pause(request, watched)
            case RequestVerb.ABANDON:
                return await self._abandon(request, watched)
            case RequestVerb.RELEASE:
                return await self._release(request, watched)
            case RequestVerb.REQUEUE:
                return await self._requeue(request, watched, decided)

    def _run_of(self, watched: Watched) -> Run | None:
        """The decision on a job that is being carried out; not one on an earlier job of its id."""
        job = watched.record
        runs = (run for run in self._driving.values() if run.job.job_id == job.job_id)
        return next((run for run in runs if run.job.id in (job.id, 0)), None)

    async def _pause(self, request: RequestRecord, watched: Watched) -> Answer:
        paused = request.verb is RequestVerb.PAUSE
        if watched.record.paused is not paused:
            watched.record = replace(watched.record, paused=paused)
            event = "paused" if paused else "resumed"
            watched.said.append((event, f"by {request.by}: {request.reason}"))
        await self._jobs.save(watched)
        if not paused:
            return _done(request, "resumed: what has happened to the job counts again")
        return _done(request, _PAUSED + (_UNDER_WAY if self._run_of(watched) else ""))

    async def _abandon(self, request: RequestRecord, watched: Watched) -> Answer | None:
        run = self._run_of(watched)
        asked = f"request {request.id} by "
        if run is not None:
            run.abandon = f"{asked}{request.by}: {request.reason}"
            return None
        last = await self._last_decision(watched)
        if last is None:
            return _refused(request, "nothing was decided on the job")
        if last.outcome == Outcome.ABANDONED_BY_REQUEST and last.detail.startswith(asked):
            return _done(request, f"the decision to {last.verb} was abandoned")
        how = f"{last.state}: {last.outcome}" if last.outcome else last.state
        return _refused(request, f"no decision is open; the last one, {last.verb}, is {how}")

    async def _last_decision(self, watched: Watched) -> DecisionRecord | None:
        for attempt in reversed(await self._store.attempts(watched.record.id)):
            decision = await self._store.decision(attempt.id)
            if decision is not None:
                return decision
        return None

    async def _release(self, request: RequestRecord, watched: Watched) -> Answer | None:
        seen, run = await self._fresh(watched), self._run_of(watched)
        if seen is None:
            return _refused(request, _GONE)
        if run is not None and _is_held_by(run, seen):
            run.hurry = True
            return None
        if own_hold(seen) is not None:
            return await self._release_orphan(request, watched, seen)
        if await self._was_released(request, watched):
            return _done(request, "released")
        return _refused(request, _NOT_OURS[seen.held])

    async def _release_orphan(
        self, request: RequestRecord, watched: Watched, seen: JobInfo
    ) -> Answer | None:
        """A hold of ajrd's that no decision looks after."""
        if not self._deciding.settings.site.act:
            return _refused(request, f"{OBSERVES}; scontrol release {seen.job_id} does")
        if not self._leads.may_act():
            return None
        try:
            late = await release(self._slurm, seen)
        except SlurmRejected as error:
            return _refused(request, str(error))
        watched.said.append(("hold_released", f"asked for by {request.by}: {request.reason}"))
        return _done(request, "released" + (f"; it will start late: {late}" if late else ""))

    async def _was_released(self, request: RequestRecord, watched: Watched) -> bool:
        """Did the driver release it since that was asked for?"""
        last = await self._last_decision(watched)
        releases = [a for a in last.actions if a.step is Step.RELEASE] if last else []
        return any(
            action.state in (ActionState.CLAIMED, ActionState.DONE)
            and action.claimed_at is not None
            and action.claimed_at >= request.asked_at
            for action in releases
        )

    async def _fresh(self, watched: Watched) -> JobInfo | None:
        """The job as Slurm shows it this moment."""
        seen = await self._slurm.job(watched.record.job_id)
        return seen if seen is not None and same_submission(watched.record, seen) else None

    async def _requeue(
        self,
        request: RequestRecord,
        watched: Watched,
        decided: list[tuple[Watched, Chapter]],
    ) -> Answer | None:
        if watched.record.paused:
            return _refused(request, "the job is paused; resume it first")
        if self._run_of(watched) is not None:
            return _refused(request, "a decision on the job is being carried out")
        fresh = await self._fresh(watched)
        if fresh is None:
            return _refused(request, _GONE)
        await self._jobs.save(watched)
        chapter = watched.chapter
        if chapter is None:
            return _refused(request, "no attempt of the job has started")
        if chapter.attempt.idx != fresh.restarts:
            return _between(request, fresh, chapter.attempt.idx)
        earlier = await self._store.decision(chapter.attempt.id)
        if earlier is not None or chapter.notebook is not None:
            return _refused(request, _decided_already(chapter, earlier))
        why_not = await self._deciding.requeue_as_asked(watched, chapter, fresh, request)
        if why_not is not None:
            return _refused(request, why_not)
        decided.append((watched, chapter))
        return None


def _turns(asked: Sequence[RequestRecord], first: int) -> list[RequestRecord]:
    """The requests in their order, beginning with this number."""
    return [*(r for r in asked if r.id >= first), *(r for r in asked if r.id < first)]


def _is_held_by(run: Run, seen: JobInfo) -> bool:
    """Is this the hold of the decision, or will its driver end the decision if it is not?"""
    return seen.held is HoldBy.REQUEUE_HOLD and seen.restarts == run.attempt.idx + 1


def _between(request: RequestRecord, fresh: JobInfo, known: int) -> Answer | None:
    """Slurm shows another attempt than the newest that is known: the next look will, too."""
    if fresh.restarts > known and has_started(fresh):
        return None
    return _refused(request, f"no attempt of the job is there to requeue: it is {fresh.state}")


def _decided_already(chapter: Chapter, earlier: DecisionRecord | None) -> str:
    what = "" if earlier is None else f": {earlier.verb}, {earlier.state}"
    idx = chapter.attempt.idx
    return f"attempt {idx} was decided on already{what}; one attempt is acted on once"


def _done(request: RequestRecord, result: str) -> Answer:
    return Answer(request, RequestState.DONE, result)


def _refused(request: RequestRecord, why: str) -> Answer:
    return Answer(request, RequestState.REFUSED, why)
