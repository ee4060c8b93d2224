"""Looking: keeps the jobs, submissions and attempts in step with what Slurm shows.

Each look starts from a full listing of Slurm. What is kept in memory (:class:`Watched`) is a
cache that a restart rebuilds from the store; nothing is decided here.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import structlog

from ajrd.errors import SlurmRejected
from ajrd.model import Directive, JobInfo
from ajrd.policy.directive import KEY, NotManaged, parse_directive
from ajrd.policy.eligibility import standing
from ajrd.policy.evidence import Pulse
from ajrd.recovery import tracking
from ajrd.recovery.settings import Clock, Logs, Settings
from ajrd.recovery.watched import Watched
from ajrd.slurm.admin_comment import Mark, read_mark, with_mark
from ajrd.slurm.base import JobUpdate, Slurm
from ajrd.store.records import AttemptRecord, JobRecord
from ajrd.store.store import Store

log = structlog.get_logger("ajrd.jobs")

#: Listings in a row without a job before it counts as gone: one may be a controller's hiccup.
MISSING_LOOKS = 3


class Jobs:
    """Every job that opted in, or tried to: its submission, its newest attempt, its evidence."""

    def __init__(
        self, slurm: Slurm, store: Store, logs: Logs, settings: Settings, clock: Clock
    ) -> None:
        self._slurm = slurm
        self._store = store
        self._logs = logs
        self._clock = clock
        self.settings = settings
        self.watched: dict[str, Watched] = {}
        self.by_attempt: dict[int, Watched] = {}
        self.cluster = ""

    async def look(self) -> None:
        """One listing of Slurm, brought into the store."""
        listing = await self._slurm.jobs()
        now = self._clock()
        ours = [seen for seen in listing if self._concerns_us(seen)]
        for seen in ours:
            await self._see(seen, now)
        for job_id in set(self.watched) - {seen.job_id for seen in ours}:
            await self._miss(self.watched[job_id], now)

    def _concerns_us(self, seen: JobInfo) -> bool:
        if seen.array_pending:
            return False
        return KEY in seen.comment or seen.job_id in self.watched

    async def _see(self, seen: JobInfo, now: datetime) -> None:
        directive = parse_directive(seen.comment, self.settings.limits)
        watched = await self._watch(seen, directive, now)
        watched.missing = 0
        await self._follow_job(watched, seen, directive, now)
        await self._follow_attempt(watched, seen, now)
        attempt = watched.attempt
        running = attempt and attempt.idx == seen.restarts and attempt.ended_at is None
        if attempt and running and isinstance(directive, Directive):
            await self._logs.attend(watched.record, seen, attempt, directive)

    async def _watch(
        self, seen: JobInfo, directive: Directive | NotManaged, now: datetime
    ) -> Watched:
        watched = self.watched.get(seen.job_id)
        if watched is not None and tracking.same_submission(watched.record, seen):
            return watched
        if watched is not None:
            await self._forget(watched, now, "its id was taken by another job")
        known = await self._known(seen, now)
        watched = Watched(known or await self._new(seen, directive, now), seen, directive)
        await self._recall(watched)
        self.watched[seen.job_id] = watched
        return watched

    async def _known(self, seen: JobInfo, now: datetime) -> JobRecord | None:
        """The submission in the store that this view belongs to."""
        known = await self._store.latest_job(self.cluster, seen.job_id)
        if known is None or tracking.same_submission(known, seen):
            return known
        if not known.closed:
            closed = replace(known, closed=True, seen_at=now)
            await self._store.save_job(closed, [("job_closed", "its id was taken")])
        return None

    async def _new(
        self, seen: JobInfo, directive: Directive | NotManaged, now: datetime
    ) -> JobRecord:
        managed = isinstance(directive, Directive)
        note = standing(seen, directive, self.settings.site)
        record = tracking.new_job(seen, self.cluster, managed=managed, note=note, now=now)
        log.info("job_seen", job=seen.job_id, managed=managed, note=note)
        if isinstance(directive, NotManaged) and directive.malformed:
            await self._tell_owner(seen, directive)
        return await self._store.add_job(record, note or "managed")

    async def _tell_owner(self, seen: JobInfo, directive: NotManaged) -> None:
        """A malformed directive is answered in AdminComment, where ajrd may touch jobs at all."""
        site = self.settings.site
        allowed = not site.partitions or seen.partition in site.partitions
        if not site.act or not allowed or read_mark(seen.admin_comment):
            return
        text = with_mark(seen.admin_comment, Mark(seen.restarts, None, str(directive)))
        try:
            await self._slurm.update(seen.job_id, JobUpdate(admin_comment=text))
        except SlurmRejected as error:
            log.warning("slurm_refused", job=seen.job_id, why=str(error))

    async def _recall(self, watched: Watched) -> None:
        """The newest attempt of a job that an earlier run of ajrd has known."""
        attempts = await self._store.attempts(watched.record.id)
        if not attempts:
            return
        attempt = attempts[-1]
        watched.begin(attempt)
        watched.anomalies = await self._store.anomalies(attempt.id)
        for source in await self._store.sources(attempt.id):
            if source.progress_offset is not None and source.progress_at is not None:
                pulse = Pulse(source.path, source.progress_offset, source.progress_at)
                watched.pulses[source.path] = pulse
        watched.decided = await self._store.decision(attempt.id) is not None
        self.by_attempt[attempt.id] = watched

    async def _follow_job(
        self, watched: Watched, seen: JobInfo, directive: Directive | NotManaged, now: datetime
    ) -> None:
        before = watched.record
        note = standing(seen, directive, self.settings.site)
        managed = isinstance(directive, Directive)
        record = tracking.updated_job(before, seen, managed=managed, note=note, now=now)
        watched.seen, watched.directive = seen, directive
        if replace(record, seen_at=before.seen_at) == before:
            return
        changed = record.comment != before.comment
        said = [("comment_changed", note or record.comment[:500])] if changed else []
        await self._store.save_job(record, said)
        watched.record = record

    async def _follow_attempt(self, watched: Watched, seen: JobInfo, now: datetime) -> None:
        before = watched.attempt
        if before is not None:
            after = tracking.advanced(before, seen, now)
            if after != before:
                await self._change(watched, after, now)
        if tracking.has_started(seen) and (before is None or before.idx < seen.restarts):
            await self._open(watched, seen, now)
            await self._follow_attempt(watched, seen, now)

    async def _change(self, watched: Watched, after: AttemptRecord, now: datetime) -> None:
        event = "attempt_ended" if after.ended_at is not None else "attempt_changed"
        watched.attempt = await self._store.save_attempt(after, now, event)
        log.info(event, job=watched.record.job_id, attempt=after.idx, state=after.state)

    async def _open(self, watched: Watched, seen: JobInfo, now: datetime) -> None:
        if watched.attempt is not None:
            self.by_attempt.pop(watched.attempt.id, None)
            await self._logs.leave(watched.attempt.id)
        new = tracking.opened(watched.record, seen, now)
        new = await self._store.save_attempt(new, now, "attempt_started")
        watched.begin(new)
        self.by_attempt[new.id] = watched
        log.info("attempt_started", job=seen.job_id, attempt=new.idx, nodes=new.nodes)

    async def _miss(self, watched: Watched, now: datetime) -> None:
        watched.missing += 1
        if watched.missing >= MISSING_LOOKS and not watched.driving:
            await self._forget(watched, now, "Slurm has forgotten it")

    async def _forget(self, watched: Watched, now: datetime, why: str) -> None:
        attempt = watched.attempt
        if attempt is not None:
            if attempt.ended_at is None:
                unknown = replace(attempt, state="UNKNOWN", ended_at=now)
                await self._store.save_attempt(unknown, now, "attempt_ended")
            await self._logs.leave(attempt.id)
            self.by_attempt.pop(attempt.id, None)
        closed = replace(watched.record, closed=True, seen_at=now)
        await self._store.save_job(closed, [("job_closed", why)])
        del self.watched[watched.record.job_id]
