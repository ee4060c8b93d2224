"""The logs of running attempts as the recovery loop needs them: found, followed, kept.

Joins what knows nothing of each other: discovery (which files?), the follower (what stands in
them?) and the store (kept, with the read position behind it). Discovery of each attempt is
repeated with a growing pause while the attempt runs, because files appear late; what it had to
give up is noted in the store, where ``ajrd status`` shows it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime

import structlog

from ajrd.detect.pattern import PatternError
from ajrd.errors import SlurmRejected, SlurmUnavailable, StoreUnavailable
from ajrd.logs.discovery import Found, find_logs
from ajrd.logs.feed import DetectorFactory, LogBatch
from ajrd.logs.follow import AttemptStart, LogFollower
from ajrd.logs.health import FilesHealth
from ajrd.logs.lanes import Lanes
from ajrd.logs.mounts import Mounts
from ajrd.logs.naming import marks_of
from ajrd.model import Anomaly, Directive, Finding, JobInfo, ReadPosition
from ajrd.policy.evidence import Pulse
from ajrd.slurm.base import Slurm
from ajrd.store.records import AnomalyRecord, AttemptRecord, JobRecord
from ajrd.store.store import Store

log = structlog.get_logger("ajrd.logs")

#: Makes the detectors of an attempt by the owner's pattern of progress; raises PatternError.
Detectors = Callable[[str], DetectorFactory]
Learn = Callable[[int, list[AnomalyRecord], Pulse | None], None]
#: Is told of everything as soon as it is read.
Hear = Callable[[int, list[Anomaly], Pulse | None], None]

#: Seconds between two rounds of discovery for one attempt: the first pause, its growth, the last.
FIRST_PAUSE, GROWTH, LAST_PAUSE = 0.2, 1.6, 10.0
#: Seconds that one round may take before the file server counts as silent.
ROUND_LIMIT = 10.0


@dataclass(slots=True, eq=False)
class _Watch:
    """One attempt. ``seen`` and ``directive`` are those of the newest look at Slurm."""

    attempt: AttemptRecord
    seen: JobInfo
    directive: Directive
    note: str = ""
    gave_up: tuple[str, ...] = ()
    round: asyncio.Lock = field(default_factory=asyncio.Lock)
    task: asyncio.Task[None] | None = None


class LogWatch:
    """The :class:`~ajrd.recovery.settings.Logs` of the service. :meth:`run` until cancelled."""

    def __init__(
        self,
        slurm: Slurm,
        store: Store,
        detectors: Detectors,
        report_dir: str | None,
        clock: Callable[[], datetime],
    ) -> None:
        self._slurm = slurm
        self._store = store
        self._report_dir = report_dir
        self._clock = clock
        self._detectors = detectors
        self._follower = LogFollower(self._keep, now=clock, heard=self._heard)
        self._times: dict[tuple[int, str, int, str], datetime] = {}
        self._lanes = Lanes("search")
        self._mounts = Mounts()
        self._watches: dict[int, _Watch] = {}
        self._new: asyncio.Queue[_Watch] = asyncio.Queue()
        self.learn: Learn = _nobody_listens
        self.hear: Hear = _nobody_listens

    async def run(self) -> None:
        """Searches and reads until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._follower.run(), name="follower")
                while True:
                    watch = await self._new.get()
                    if watch.attempt.id in self._watches:
                        name = f"search-{watch.attempt.id}"
                        watch.task = tasks.create_task(self._search(watch), name=name)
        finally:
            self._lanes.stop()

    async def attend(
        self, job: JobRecord, seen: JobInfo, attempt: AttemptRecord, directive: Directive
    ) -> None:
        """Follow the logs of an attempt; called at every look at Slurm."""
        watch = self._watches.get(attempt.id)
        if watch is not None:
            watch.seen, watch.directive = seen, directive
            return
        watch = self._watches[attempt.id] = _Watch(attempt, seen, directive)
        self._new.put_nowait(watch)

    async def drain(self, attempt: int, limit: float) -> bool:
        """Looks for files once more and reads all of them to their end, within ``limit`` s each."""
        watch = self._watches.get(attempt)
        if watch is not None and await self._still_its_own(watch):
            try:
                async with asyncio.timeout(limit):
                    await self._round(watch)
            except TimeoutError:
                watch.gave_up = (*watch.gave_up, "the last search for logs took too long")
        store_answers = self._store.away_since is None
        complete = await self._follower.drain(attempt, limit, kept_needed=store_answers)
        if watch is not None:
            with suppress(StoreUnavailable):
                await self._note(watch)
        return complete

    async def leave(self, attempt: int) -> None:
        """Stop following an attempt."""
        watch = self._watches.get(attempt)
        if watch is not None and watch.task is not None:
            watch.task.cancel()
        await self._follower.unfollow(attempt)
        self._watches.pop(attempt, None)
        self._times = {key: at for key, at in self._times.items() if key[0] != attempt}

    def files_health(self) -> FilesHealth:
        """How reading and searching go."""
        gave_up = [watch.gave_up for watch in self._watches.values() if watch.gave_up]
        files = self._follower.health()
        why = files.why or next((each[0] for each in gave_up), "")
        return replace(files, given_up=len(gave_up), why=why)

    # searching

    async def _search(self, watch: _Watch) -> None:
        pause = FIRST_PAUSE
        while True:
            await self._round(watch)
            await asyncio.sleep(pause)
            pause = min(pause * GROWTH, LAST_PAUSE)

    async def _round(self, watch: _Watch) -> None:
        """One round of discovery; one that fails says so and is repeated by the next."""
        async with watch.round:
            try:
                found = await self._find(watch)
                watch.gave_up = found.gave_up
                await self._follower.follow(watch.attempt.id, found.files, self._start(watch))
                await self._note(watch)
            except TimeoutError:
                watch.gave_up = (f"{watch.seen.work_dir}: its file server does not answer",)
            except (SlurmUnavailable, SlurmRejected, StoreUnavailable) as error:
                log.warning("search_waits", job=watch.seen.job_id, why=str(error))

    async def _find(self, watch: _Watch) -> Found:
        seen, directive = watch.seen, watch.directive
        steps = await self._slurm.steps(seen.job_id)
        return await self._lanes.run(
            self._mounts.of(seen.work_dir or "/").point,
            lambda: find_logs(
                seen,
                steps,
                directive,
                since=watch.attempt.started_at,
                report_dir=self._report_dir,
            ),
            ROUND_LIMIT,
        )

    def _start(self, watch: _Watch) -> AttemptStart:
        try:
            make_detector = self._detectors(watch.directive.progress)
        except PatternError as error:
            watch.gave_up = (*watch.gave_up, f"APS.progress is not a usable pattern: {error}")
            make_detector = self._detectors("")
        return AttemptStart(
            make_detector=make_detector,
            began=watch.attempt.started_at,
            restarts=watch.attempt.idx,
            marks=marks_of(watch.seen),
            positions=self._positions_at,
        )

    async def _positions_at(self, path: str) -> list[tuple[int, ReadPosition]]:
        """What is known of a path; nothing while the store is away.

        Nothing known makes the start careful: what may be an earlier attempt's is not read.
        """
        try:
            return await self._store.positions_at(path)
        except StoreUnavailable as error:
            log.warning("start_without_store", path=path, why=str(error))
            return []

    async def _still_its_own(self, watch: _Watch) -> bool:
        """Until a successor starts, what lies in the folders was written by this attempt."""
        try:
            now = await self._slurm.job(watch.seen.job_id)
        except SlurmUnavailable:
            return False
        return now is None or now.restarts == watch.attempt.idx or not now.alive

    async def _note(self, watch: _Watch) -> None:
        """What cannot be read, or was begun at a guess, is told in the store when it changes."""
        troubles = list(watch.gave_up)
        for source in self._follower.status(watch.attempt.id):
            if source.error:
                troubles.append(source.error)
            if source.uncertain:
                troubles.append(f"{source.path}: not read from its start: {source.start}")
        note = "; ".join(dict.fromkeys(troubles))
        if note != watch.note and watch.attempt.id > 0:
            await self._store.note_logs(watch.attempt.id, note)
            watch.note = note

    # keeping

    def _heard(self, batch: LogBatch) -> None:
        """News as soon as they are read: recovery must wait neither for a report nor a database."""
        now = self._clock()
        seen = [Anomaly(finding, batch.source, now) for finding in batch.found]
        for anomaly in seen:
            self._times[_key(batch, anomaly.finding)] = now
        pulse = None
        if batch.progress is not None:
            pulse = Pulse(batch.source, batch.progress.offset, batch.progress_at or now)
        self.hear(batch.attempt_id, seen, pulse)

    async def _keep(self, batch: LogBatch) -> None:
        """The sink of the follower: evidence and position in one transaction."""
        watch = self._watches.get(batch.attempt_id)
        if watch is not None:
            await self._record(watch.attempt, batch)
        for finding in batch.found:
            self._times.pop(_key(batch, finding), None)

    async def _record(self, attempt: AttemptRecord, batch: LogBatch) -> None:
        if attempt.id <= 0:
            raise StoreUnavailable("the attempt itself is not stored yet")
        now = self._clock()
        seen = [
            Anomaly(finding, batch.source, self._times.get(_key(batch, finding), now))
            for finding in batch.found
        ]
        new = await self._store.record_evidence(attempt, seen, batch.position, batch.progress, now)
        self.learn(batch.attempt_id, new, None)


def _key(batch: LogBatch, finding: Finding) -> tuple[int, str, int, str]:
    return batch.attempt_id, batch.source, finding.offset, finding.rule


def _nobody_listens(_attempt: int, _new: object, _pulse: Pulse | None) -> None:
    """Until the loop is built, news are only stored."""
