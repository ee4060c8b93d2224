"""The reconcile loop: looks at Slurm, weighs the evidence, decides when it is ripe.

Level-triggered: each turn starts from what Slurm shows and what the store holds. The loop
itself changes no job; a decision that is to be executed is handed to
:class:`~ajrd.recovery.driver.Driver`, in a task of its own.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Coroutine, Iterable
from contextlib import suppress
from datetime import datetime, timedelta

import structlog

from ajrd.errors import SlurmRejected, SlurmUnavailable, StoreUnavailable
from ajrd.model import Anomaly, DecisionState, Directive, JobInfo
from ajrd.policy.evidence import Pulse, Ripeness, weigh
from ajrd.policy.nodes import Known
from ajrd.recovery.deciding import Deciding
from ajrd.recovery.driver import Driver, Run
from ajrd.recovery.jobs import Jobs
from ajrd.recovery.leadership import Leads
from ajrd.recovery.notebook import Notebook
from ajrd.recovery.requests import Requests
from ajrd.recovery.sequence import Outcome
from ajrd.recovery.settings import Clock, Detection, Logs, Settings, no_checkpoint
from ajrd.recovery.watched import Chapter, Watched
from ajrd.slurm.base import Slurm
from ajrd.slurm.holds import Hold, is_requeue_held, own_hold, release
from ajrd.store.records import AnomalyRecord, AttemptRecord, JobRecord
from ajrd.store.store import Store

log = structlog.get_logger("ajrd.recovery")

#: The shortest sleep between two turns of the loop, seconds.
NAP = 0.005
#: Slurm is never looked at sooner than this after the last look, whoever is in a hurry, seconds.
HURRY = 0.1


class Recovery:
    """The loop. :meth:`run` until cancelled; :meth:`learn` and :meth:`hear` bring evidence.

    ``looked`` is set once it has looked at Slurm for the first time, whatever it saw. ``stepped``
    is when it last came a step further (monotonic, s): no step waits longer than for an answer.
    """

    def __init__(
        self,
        slurm: Slurm,
        store: Store,
        logs: Logs,
        detection: Detection,
        settings: Settings,
        clock: Clock,
        leads: Leads,
        checkpoint: Callable[[str], None] = no_checkpoint,
        known: Callable[[], Known] = Known,
    ) -> None:
        self._slurm = slurm
        self._store = store
        self._logs = logs
        self._detection = detection
        self._clock = clock
        self._settings = settings
        self._jobs = Jobs(slurm, store, logs, settings, clock, leads.name)
        self._driver = Driver(
            slurm, store, leads, settings, clock, self._drain_before_release, checkpoint
        )
        self._deciding = Deciding(slurm, store, self._jobs, detection, settings, clock, known)
        self._wake = asyncio.Event()
        self._next_look = self._last_look = clock()
        self._hurried = False
        self.looked = asyncio.Event()
        self.stepped = time.monotonic()
        self._tasks = asyncio.TaskGroup()
        self._driving: dict[int, Run] = {}
        self._resumed = False
        self._requests = Requests(
            slurm, store, self._jobs, self._deciding, leads, clock, self._driving
        )

    def configure(self, settings: Settings) -> None:
        """Takes over new settings; decisions already made stay as they are."""
        self._settings = self._jobs.settings = settings
        self._driver.settings = self._deciding.settings = settings
        self._wake.set()

    @property
    def watched(self) -> Collection[Watched]:
        """Every job that it knows, as last seen."""
        return self._jobs.watched.values()

    @property
    def driving(self) -> int:
        """How many decisions are being carried out."""
        return len(self._driving)

    def learn(self, attempt: int, new: list[AnomalyRecord], pulse: Pulse | None) -> None:
        """New evidence of an attempt, already in the store."""
        watched = self._jobs.by_attempt.get(attempt)
        chapter = watched.chapter if watched else None
        if chapter is None or chapter.attempt.id != attempt:
            return
        if pulse is not None:
            chapter.pulses[pulse.source] = pulse
        if chapter.add(new):
            self._wake.set()

    def hear(self, attempt: int, seen: Iterable[Anomaly], pulse: Pulse | None) -> None:
        """New evidence of an attempt that is not in the store yet; may be told repeatedly."""
        unstored = [AnomalyRecord(id=0, attempt=attempt, anomaly=anomaly) for anomaly in seen]
        self.learn(attempt, unstored, pulse)

    async def run(self) -> None:
        """Looks, decides, sleeps; ends by cancellation, or with NotLeader."""
        async with self._tasks:
            self._next_look = self._clock()
            while True:
                if self._clock() >= self._next_look:
                    self._hurried = False
                    await self.look()
                    self._last_look = self._clock()
                    after = self._last_look + timedelta(seconds=self._settings.poll)
                    self._next_look = min(after, self._soon()) if self._hurried else after
                    self.looked.set()
                await self.consider()
                await self._sleep_until_next_look()

    def hurry(self) -> None:
        """Something has happened in Slurm: look now, or as soon as the last look is past a bit.

        What is told during a look may be missing from it, and is looked for soon after it.
        """
        self._hurried = True
        self._next_look = min(self._next_look, self._soon())
        self._wake.set()

    def _soon(self) -> datetime:
        return max(self._clock(), self._last_look + timedelta(seconds=HURRY))

    async def look(self) -> None:
        """One look at Slurm and the store; what does not answer is asked again at the next."""
        await self._guarded(self._look(), "look")
        if self._settings.site.act:
            await self._guarded(self._release_orphans(), "release")
        if self._resumed:
            await self._guarded(self._answer_requests(), "requests")

    async def _answer_requests(self) -> None:
        """Does what people ask for. A decision whose commit got no answer may be in the store."""
        try:
            for watched, chapter in await self._requests.look():
                await self._begin(watched, chapter)
        except StoreUnavailable:
            self._resumed = False
            raise

    async def consider(self) -> None:
        """Decides where the evidence is ripe."""
        for watched in list(self._jobs.watched.values()):
            await self._guarded(self._consider(watched), "consider")

    async def _guarded(self, work: Coroutine[None, None, None], what: str) -> None:
        """Silence of Slurm or the store is never news: say so and look again later."""
        try:
            await work
        except (SlurmUnavailable, StoreUnavailable) as error:
            log.warning("unknown", doing=what, why=str(error))
        self.stepped = time.monotonic()

    async def _look(self) -> None:
        if not self._jobs.cluster:
            self._jobs.cluster = (await self._slurm.cluster()).name
        await self._jobs.look()
        if not self._resumed:
            await self._resume()

    async def _release_orphans(self) -> None:
        """Holds of an ajrd that died while it acted without the database: nobody carries them on.

        A decision that is being carried out looks after its own hold.
        """
        now = self._clock()
        for watched in self._jobs.watched.values():
            if watched.driving or not is_requeue_held(watched.seen):
                continue
            hold = await self._hold_of(watched, watched.seen)
            if hold is None or now < hold.deadline:
                continue
            seen = await self._slurm.job(hold.job_id)
            if seen is not None and await self._hold_of(watched, seen) == hold:
                await self._release(watched, seen, hold)

    async def _hold_of(self, watched: Watched, seen: JobInfo) -> Hold | None:
        """ajrd's hold on a job, by its mark in AdminComment, or by what ajrd has done.

        A slurmctld that was killed may show a successor that ran already once more in the hold that
        it came with, and have forgotten the mark. Another one's hold of the same restart count
        would have other words.
        """
        hold = own_hold(seen)
        if hold is not None or not is_requeue_held(seen):
            return hold
        attempts = await self._store.attempts(watched.record.id)
        before = next((each for each in attempts if each.idx == seen.restarts - 1), None)
        decision = await self._store.decision(before.id) if before else None
        if decision is None or decision.outcome != Outcome.SUCCESSOR_STARTED:
            return None
        assert decision.hold_deadline is not None
        return Hold(seen.job_id, seen.restarts, seen.submit_time, decision.hold_deadline)

    async def _release(self, watched: Watched, seen: JobInfo, hold: Hold) -> None:
        try:
            late = await release(self._slurm, seen)
        except SlurmRejected as error:
            log.warning("slurm_refused", job=hold.job_id, step="release", why=str(error))
            return
        log.warning("hold_released", job=hold.job_id, restarts=hold.restarts, starts_late=late)
        message = f"held by ajrd until {hold.deadline.isoformat()}, with no decision open"
        watched.said.append(("hold_released", message))

    async def _resume(self) -> None:
        """Open decisions of an earlier run, or of another ajrd, go on from wherever they are."""
        known = await self._store.open_jobs(self._jobs.cluster)
        for job in known:
            for attempt in await self._store.attempts(job.id):
                await self._go_on(job, attempt)
        self._jobs.unseen.expect(known)
        self._resumed = True

    async def _go_on(self, job: JobRecord, attempt: AttemptRecord) -> None:
        decision = await self._store.decision(attempt.id)
        if decision is not None and decision.state is DecisionState.OPEN:
            self._drive(job, attempt)

    async def _sleep_until_next_look(self) -> None:
        chapters = (watched.chapter for watched in self._jobs.watched.values())
        dues = (self._due(chapter) for chapter in chapters if chapter is not None)
        until = min([self._next_look, *(due for due in dues if due is not None)])
        self._wake.clear()
        seconds = max((until - self._clock()).total_seconds(), NAP)
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()

    def _due(self, chapter: Chapter) -> datetime | None:
        """When to consider a job, if that lies ahead; what is overdue waits for the next look."""
        if chapter.settled:
            return None
        due = self._weigh(chapter).due
        return due if due is not None and due > self._clock() else None

    def _weigh(self, chapter: Chapter) -> Ripeness:
        return weigh(
            [record.anomaly for record in chapter.anomalies],
            chapter.pulses.values(),
            ended=chapter.ended,
            settle=self._settings.settle,
            progress_lag=self._settings.progress_lag,
        )

    async def _consider(self, watched: Watched) -> None:
        chapter = watched.chapter
        if chapter is None or not isinstance(watched.directive, Directive):
            return
        if chapter.ended and not chapter.drained:
            if not chapter.draining:
                chapter.draining = True
                self._spawn(self._end(watched, chapter), f"end-{chapter.attempt.id}")
            return
        if chapter.settled or watched.record.paused:
            return
        ripe = self._weigh(chapter)
        if ripe.due is None or self._clock() < ripe.due:
            return
        if await self._deciding.decide(watched, chapter, ripe):
            await self._begin(watched, chapter)

    async def _begin(self, watched: Watched, chapter: Chapter) -> None:
        """Carries out a new decision; one that the store does not show now is resumed later."""
        if chapter.notebook is not None:
            self._drive(watched.record, chapter.attempt, chapter.notebook)
            return
        try:
            await self._go_on(watched.record, chapter.attempt)
        except StoreUnavailable:
            self._resumed = False
            raise

    async def _end(self, watched: Watched, chapter: Chapter) -> None:
        """Reads what an ended attempt has left behind, and what its end state says."""
        try:
            await self._drain(chapter.attempt)
            await self._logs.leave(chapter.attempt.id)
            await self._note_end_state(watched, chapter)
            chapter.drained = True
            self._wake.set()
        finally:
            chapter.draining = False

    async def _drain(self, attempt: AttemptRecord) -> None:
        if await self._logs.drain(attempt.id, self._settings.drain_limit):
            return
        message = "some logs could not be read to their end"
        log.warning("drain_incomplete", attempt=attempt.idx, why=message)
        with suppress(StoreUnavailable):
            await self._store.log(
                self._clock(), "drain_incomplete", message, job=attempt.job, attempt_idx=attempt.idx
            )

    async def _note_end_state(self, watched: Watched, chapter: Chapter) -> None:
        finding = self._detection.from_end_state(watched.seen)
        attempt, now = chapter.attempt, self._clock()
        if finding is None or watched.seen.restarts != attempt.idx:
            return
        anomaly = Anomaly(finding, "slurm", now)
        try:
            chapter.add(await self._store.record_evidence(attempt, [anomaly], None, None, now))
        except StoreUnavailable:
            self.hear(attempt.id, [anomaly], None)

    def _drive(
        self, job: JobRecord, attempt: AttemptRecord, notebook: Notebook | None = None
    ) -> None:
        if attempt.id in self._driving:
            return
        watched = self._jobs.watched.get(job.job_id)
        if watched is not None:
            watched.driving = True
        run = self._driving[attempt.id] = self._driver.begin(job, attempt, notebook)
        self._spawn(self._drive_to_end(run, watched), f"drive-{attempt.id}")

    def _spawn(self, work: Coroutine[None, None, None], name: str) -> None:
        self._tasks.create_task(work, name=name)

    async def _drive_to_end(self, run: Run, watched: Watched | None) -> None:
        await self._driver.drive(run)
        self._driven(run, watched)

    def _driven(self, run: Run, watched: Watched | None) -> None:
        """A decision is over; one that was ended in memory waits there to be written."""
        self._driving.pop(run.attempt.id, None)
        self._wake.set()
        if watched is None:
            return
        watched.driving = False
        if run.notebook is not None:
            self._keep(run.notebook, watched, run.attempt)

    def _keep(self, note: Notebook, watched: Watched, attempt: AttemptRecord) -> None:
        for chapter in watched.chapters:
            if chapter.attempt.idx == attempt.idx:
                chapter.notebook = note
                return
        watched.chapters.insert(0, Chapter(attempt, notebook=note, decided=True, drained=True))

    async def leave_notes(self) -> None:
        """Another ajrd leads: what was done in memory is still written, as history."""
        for watched in [*self._jobs.watched.values()]:
            for chapter in watched.chapters:
                if chapter.notebook is not None and chapter.attempt.id > 0:
                    note, job = chapter.notebook, watched.record
                    log.warning("note_left", job=job.job_id, reason=note.record.reason)
                    with suppress(StoreUnavailable):
                        await self._store.import_decision(
                            note.record, job, chapter.attempt, note.suspects
                        )

    async def _drain_before_release(self, attempt: AttemptRecord) -> None:
        """The successor truncates the batch log: what stands there must be read before."""
        await self._logs.drain(attempt.id, self._settings.drain_limit)
