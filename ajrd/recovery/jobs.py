"""Looking: keeps the jobs, submissions and attempts in step with what Slurm shows.

Each look starts from a full listing of Slurm and changes the memory (:class:`Watched`) first; then
the store is brought up to it. A store that is away leaves the difference for a later look, so
looking, and what depends on it, goes on without it. Nothing is decided here.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime

import structlog

from ajrd.errors import SlurmRejected, SlurmUnavailable, StoreUnavailable
from ajrd.model import Directive, JobInfo
from ajrd.policy.dependents import Dependents
from ajrd.policy.directive import KEY, NotManaged, parse_directive
from ajrd.policy.eligibility import standing
from ajrd.policy.evidence import Pulse
from ajrd.recovery import tracking
from ajrd.recovery.settings import Clock, Logs, Settings
from ajrd.recovery.unseen import Unseen
from ajrd.recovery.watched import Chapter, Watched
from ajrd.slurm.admin_comment import Mark, read_mark, with_mark
from ajrd.slurm.base import JobUpdate, Slurm
from ajrd.store.records import AnomalyRecord, AttemptRecord, JobRecord
from ajrd.store.store import Store

log = structlog.get_logger("ajrd.jobs")

#: Listings in a row without a job before it counts as gone: one may be a controller's hiccup.
MISSING_LOOKS = 3


class Jobs:
    """Every job that opted in, or tried to: its submission, its attempts, their evidence.

    ``complete``: everything that the store knows of the jobs was read once, so what is not known
    here is new.
    """

    def __init__(
        self, slurm: Slurm, store: Store, logs: Logs, settings: Settings, clock: Clock, name: str
    ) -> None:
        self._slurm = slurm
        self._store = store
        self._logs = logs
        self._clock = clock
        self._name = name
        self.settings = settings
        self.watched: dict[str, Watched] = {}
        self.by_attempt: dict[int, Watched] = {}
        self.cluster = ""
        self.dependents = Dependents()
        self.complete = False
        self.unseen = Unseen(store)
        self._leaving: list[Watched] = []
        self._last_temporary = 0

    async def look(self) -> None:
        """One listing of Slurm, brought into memory and, as far as it answers, into the store.

        Raises StoreUnavailable after everything else was done, if the store lags behind.
        """
        listing = await self._slurm.jobs()
        now = self._clock()
        self.dependents.look(listing)
        expected = self.unseen.among(listing)
        ours = [seen for seen in listing if self._concerns_us(seen, expected)]
        silence: StoreUnavailable | None = None
        for seen in ours:
            silence = await self._see(seen, now) or silence
        for job_id in set(self.watched) - {seen.job_id for seen in ours}:
            await self._miss(self.watched[job_id], now)
        for watched in list(self._leaving):
            silence = await self._saved(watched) or silence
            if silence is None:
                self._leaving.remove(watched)
        if silence is not None:
            raise silence
        self.complete = True
        rows = {watched.record.id for watched in self.watched.values()}
        await self.unseen.looked(rows, MISSING_LOOKS, now)

    def _concerns_us(self, seen: JobInfo, expected: Collection[str]) -> bool:
        if seen.array_pending:
            return False
        known = seen.job_id in self.watched or seen.job_id in expected
        return known or KEY in seen.comment

    async def _see(self, seen: JobInfo, now: datetime) -> StoreUnavailable | None:
        if await self._is_anothers(seen, now) and KEY not in seen.comment:
            return None
        directive = parse_directive(seen.comment, self.settings.limits)
        watched = await self._watch(seen, directive)
        watched.missing = 0
        self._follow_job(watched, seen, directive, now)
        await self._follow_attempt(watched, seen, now)
        silence = await self._saved(watched)
        chapter = watched.chapter
        unread = chapter and chapter.attempt.idx == seen.restarts and not chapter.drained
        if chapter and unread and isinstance(directive, Directive):
            await self._logs.attend(watched.record, seen, chapter.attempt, directive)
        return silence

    async def _is_anothers(self, seen: JobInfo, now: datetime) -> bool:
        """Has another submission taken the id of one that was known? That one is then gone."""
        known = self.watched.get(seen.job_id)
        if known is None or tracking.same_submission(known.record, seen):
            return False
        await self._forget(known, now, "its id was taken by another job")
        return True

    async def _watch(self, seen: JobInfo, directive: Directive | NotManaged) -> Watched:
        watched = self.watched.get(seen.job_id)
        if watched is None:
            watched = self._new(seen, directive, self._clock())
            self.watched[seen.job_id] = watched
            await self._saved(watched)
        return watched

    def _new(self, seen: JobInfo, directive: Directive | NotManaged, now: datetime) -> Watched:
        managed = isinstance(directive, Directive)
        note = standing(seen, directive, self.settings.site)
        record = tracking.new_job(seen, self.cluster, managed=managed, note=note, now=now)
        return Watched(record, seen, directive)

    async def _tell_owner(self, seen: JobInfo, directive: NotManaged) -> None:
        """A malformed directive is answered in AdminComment, where ajrd may touch jobs at all."""
        site = self.settings.site
        allowed = not site.partitions or seen.partition in site.partitions
        if not site.act or not allowed or read_mark(seen.admin_comment):
            return
        mark = Mark(seen.restarts, None, str(directive), by=self._name)
        text = with_mark(seen.admin_comment, mark)
        try:
            await self._slurm.update(seen.job_id, JobUpdate(admin_comment=text))
        except (SlurmRejected, SlurmUnavailable) as error:
            log.warning("owner_not_told", job=seen.job_id, why=str(error))

    # memory

    def _follow_job(
        self, watched: Watched, seen: JobInfo, directive: Directive | NotManaged, now: datetime
    ) -> None:
        before = watched.record
        note = standing(seen, directive, self.settings.site)
        managed = isinstance(directive, Directive)
        record = tracking.updated_job(before, seen, managed=managed, note=note, now=now)
        watched.seen, watched.directive = seen, directive
        if replace(record, seen_at=before.seen_at) == before:
            return
        if record.comment != before.comment:
            watched.said.append(("comment_changed", note or record.comment[:500]))
        if record.restarts < before.restarts:
            text = f"slurmctld died and shows {record.restarts} restarts after {before.restarts}"
            watched.said.append(("slurm_forgot", text))
        watched.record = record

    async def _follow_attempt(self, watched: Watched, seen: JobInfo, now: datetime) -> None:
        chapter = watched.chapter
        if chapter is not None:
            self._advance(watched, chapter, tracking.advanced(chapter.attempt, seen, now), now)
        if tracking.has_started(seen) and (chapter is None or chapter.attempt.idx < seen.restarts):
            await self._open(watched, seen, now)
            await self._follow_attempt(watched, seen, now)

    def _advance(
        self, watched: Watched, chapter: Chapter, after: AttemptRecord, now: datetime
    ) -> None:
        if after == chapter.attempt:
            return
        event = "attempt_ended" if after.ended_at is not None else "attempt_changed"
        chapter.attempt = after
        chapter.unsaved.append((after, event, now))
        log.info(event, job=watched.record.job_id, attempt=after.idx, state=after.state)

    async def _open(self, watched: Watched, seen: JobInfo, now: datetime) -> None:
        if watched.chapter is not None:
            self.by_attempt.pop(watched.chapter.attempt.id, None)
            await self._logs.leave(watched.chapter.attempt.id)
        self._last_temporary -= 1
        new = tracking.opened(watched.record, seen, now, self._last_temporary)
        watched.chapters.append(Chapter(new, [(new, "attempt_started", now)]))
        self.by_attempt[new.id] = watched
        log.info("attempt_started", job=seen.job_id, attempt=new.idx, nodes=new.nodes)

    async def _miss(self, watched: Watched, now: datetime) -> None:
        watched.missing += 1
        if watched.missing >= MISSING_LOOKS and not watched.driving:
            await self._forget(watched, now, "Slurm has forgotten it")

    async def _forget(self, watched: Watched, now: datetime, why: str) -> None:
        chapter = watched.chapter
        if chapter is not None:
            if not chapter.ended:
                unknown = replace(chapter.attempt, state="UNKNOWN", ended_at=now)
                self._advance(watched, chapter, unknown, now)
            await self._logs.leave(chapter.attempt.id)
            self.by_attempt.pop(chapter.attempt.id, None)
        watched.record = replace(watched.record, closed=True, seen_at=now)
        watched.said.append(("job_closed", why))
        del self.watched[watched.record.job_id]
        if await self._saved(watched) is not None:
            self._leaving.append(watched)

    # the store

    async def _saved(self, watched: Watched) -> StoreUnavailable | None:
        """Brings the store up to memory; the error if it did not take everything."""
        try:
            await self.save(watched)
        except StoreUnavailable as error:
            return error
        return None

    async def save(self, watched: Watched) -> None:
        """Writes what the store does not have; StoreUnavailable leaves the rest for later."""
        if watched.stored is None:
            await self._identify(watched)
        record, stored = watched.record, watched.stored
        same = stored is not None and replace(record, seen_at=stored.seen_at) == stored
        if watched.said or not same:
            await self._store.save_job(record, watched.said)
            watched.stored, watched.said = record, []
        for chapter in watched.chapters:
            await self._save_chapter(watched, chapter)
        past = [chapter for chapter in watched.chapters[:-1] if not chapter.stored]
        watched.chapters = [*past, *watched.chapters[-1:]]

    async def _identify(self, watched: Watched) -> None:
        """Finds the submission in the store, or adds it; a known one is remembered."""
        record, now = watched.record, self._clock()
        known = await self._known(watched.seen, now)
        if known is None:
            log.info("job_seen", job=record.job_id, managed=record.managed, note=record.note)
            if isinstance(watched.directive, NotManaged) and watched.directive.malformed:
                await self._tell_owner(watched.seen, watched.directive)
            known = await self._store.add_job(record, record.note or "managed")
            watched.record = watched.stored = known
            return
        own = {"id": known.id, "first_submit_time": known.first_submit_time}
        own |= {"restarts_before": known.restarts_before, "name": known.name}
        own |= {"paused": known.paused}
        if not watched.chapters:
            await self._recall(watched, known)
        watched.record, watched.stored = replace(record, **own), known  # type: ignore[arg-type]

    async def _known(self, seen: JobInfo, now: datetime) -> JobRecord | None:
        """The submission in the store that this view belongs to."""
        known = await self._store.latest_job(self.cluster, seen.job_id)
        if known is None or tracking.same_submission(known, seen):
            return known
        if not known.closed:
            await self.unseen.close(known, now, "its id was taken")
        return None

    async def _recall(self, watched: Watched, known: JobRecord) -> None:
        """The newest attempt of a job that an earlier run of ajrd has known."""
        attempts = await self._store.attempts(known.id)
        if not attempts:
            return
        chapter = Chapter(attempts[-1])
        await self._remember(chapter, chapter.attempt.id)
        watched.chapters.append(chapter)
        self.by_attempt[chapter.attempt.id] = watched

    async def _remember(self, chapter: Chapter, row: int) -> None:
        """What the store knows of an attempt that this process has not followed so far.

        What lies in the future, for somebody has set the clock back, counts as of now.
        """
        now = self._clock()
        chapter.add(_until(now, record) for record in await self._store.anomalies(row))
        for source in await self._store.sources(row):
            if source.progress_offset is not None and source.progress_at is not None:
                at = min(source.progress_at, now)
                pulse = Pulse(source.path, source.progress_offset, at)
                chapter.pulses.setdefault(source.path, pulse)
        if await self._store.decision(row) is not None:
            chapter.decided = True

    async def _save_chapter(self, watched: Watched, chapter: Chapter) -> None:
        if chapter.attempt.id <= 0:
            await self._number(watched, chapter)
        while chapter.unsaved:
            attempt, event, at = chapter.unsaved[0]
            row = replace(attempt, id=chapter.attempt.id, job=watched.record.id)
            await self._store.save_attempt(row, at, event)
            chapter.unsaved.pop(0)
        await self._save_evidence(chapter)
        if chapter.notebook is not None and chapter.notebook.closed:
            note = chapter.notebook
            await self._store.import_decision(
                note.record, watched.record, chapter.attempt, note.suspects
            )
            chapter.notebook = None

    async def _number(self, watched: Watched, chapter: Chapter) -> None:
        """Gives an attempt its row; its logs are then followed under that number.

        They are read anew: what the store knows of their files tells where the attempt begins.
        """
        temporary = chapter.attempt.id
        rows = await self._store.attempts(watched.record.id)
        row = next((row for row in rows if row.idx == chapter.attempt.idx), None)
        if row is not None:
            await self._remember(chapter, row.id)
        else:
            new, event, at = chapter.unsaved[0]
            row = await self._store.save_attempt(
                replace(new, id=0, job=watched.record.id), at, event
            )
            chapter.unsaved.pop(0)
        chapter.attempt = replace(chapter.attempt, id=row.id, job=watched.record.id)
        chapter.drained = False
        if self.by_attempt.pop(temporary, None) is not None:
            self.by_attempt[row.id] = watched
        await self._logs.leave(temporary)

    async def _save_evidence(self, chapter: Chapter) -> None:
        unstored = [record.anomaly for record in chapter.anomalies if not record.id]
        if unstored:
            now = self._clock()
            chapter.add(
                await self._store.record_evidence(chapter.attempt, unstored, None, None, now)
            )
            chapter.add(await self._store.anomalies(chapter.attempt.id))


def _until(now: datetime, record: AnomalyRecord) -> AnomalyRecord:
    """The record, found at ``now`` at the latest."""
    anomaly = record.anomaly
    at = min(anomaly.detected_at, now)
    return replace(record, anomaly=replace(anomaly, detected_at=at))
