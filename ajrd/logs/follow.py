"""Following the logs of many attempts at a time, and handing what was found to a sink.

Everything that may block happens in the lane of its mount; the asyncio side only plans and
delivers. Each lane takes the files that are due, reads them in one go, and comes back. Reading goes
on while the sink cannot keep what was found (:mod:`ajrd.logs.backlog`), until so much waits to be
kept that memory must be spared.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial

import structlog

from ajrd.errors import NotLeader, StoreUnavailable
from ajrd.logs.asowner import Files, OwnerFiles, as_owner
from ajrd.logs.backlog import Backlog
from ajrd.logs.feed import DetectorFactory, Heard, LogBatch, Sink, SourceStatus, unheard
from ajrd.logs.health import FilesHealth, ReadCounts
from ajrd.logs.lanes import Lane
from ajrd.logs.memory import PathMemory
from ajrd.logs.mounts import Mount, Mounts
from ajrd.logs.naming import carries
from ajrd.logs.source import Outcome, Source
from ajrd.logs.start import Earlier, FileSeen, Known, StartPoint, start_point
from ajrd.logs.tailer import FileTailer
from ajrd.logs.wake import Waker
from ajrd.model import LogFile, ReadPosition

log = structlog.get_logger("ajrd.logs")

NEVER = float("inf")
#: The shortest sleep of a lane's plan: files that are due soon after each other go together.
_NAP = 0.02
#: Files that a lane reads before it reports back.
_AT_ONCE = 64
#: A lane that has been silent for so long is shown as stuck, seconds.
_SILENT = 5.0
#: The first and the longest pause before what was not kept is offered again, seconds.
_SINK_PAUSE, _LONGEST_SINK_PAUSE = 0.1, 5.0
#: Findings of all files that wait to be kept; with more of them nothing is read.
MOST_OF_ALL = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptStart:
    """What is known of an attempt whose logs are to be followed.

    ``make_detector`` makes a detector for each of its files. ``marks``: see
    :func:`~ajrd.logs.naming.marks_of`. ``positions`` gives every (attempt,
    position) ever kept for a path, newest first; StoreUnavailable from it passes through.
    """

    make_detector: DetectorFactory
    began: datetime
    restarts: int
    marks: tuple[str, ...]
    positions: Callable[[str], Awaitable[Sequence[tuple[int, ReadPosition]]]]


@dataclass(frozen=True, slots=True, eq=False)
class _Question:
    """Was the file read to its end, and is what was found there kept, if ``kept_needed``?"""

    kept_needed: bool
    answer: asyncio.Future[bool]


@dataclass(slots=True, eq=False)
class _Followed:
    """One file of one attempt, as the planning side sees it. Times are monotonic seconds.

    ``final``: the attempt has ended; ``over``: and the file was read to its end since.
    ``asking`` wait for a turn that has yet to begin, ``asked`` for the one that has;
    ``at_end`` is true once that turn has brought the end of the file, ``caught_up`` when one last
    did.
    """

    attempt: int
    file: LogFile
    source: Source
    backlog: Backlog
    due: float = 0.0
    pause: float = 0.0
    reading: bool = False
    delivering: bool = False
    final: bool = False
    over: bool = False
    gone: bool = False
    at_end: bool = False
    turns: int = 0
    real: str = ""
    lane: _LaneState | None = None
    error: str = ""
    read_at: datetime | None = None
    caught_up: float = field(default_factory=time.monotonic)
    reported_at: float = float("-inf")
    asking: list[_Question] = field(default_factory=list)
    asked: list[_Question] = field(default_factory=list)

    @property
    def idle(self) -> bool:
        return not (self.reading or self.gone or self.backlog.full)

    @property
    def uncertain(self) -> bool:
        start = self.source.tailer.start
        return start is not None and start.uncertain


class _LaneState:
    """A lane with the files it serves."""

    def __init__(self, mount: Mount) -> None:
        self.mount = mount
        self.lane = Lane(mount.point)
        self.followed: list[_Followed] = []
        self.wake = asyncio.Event()


class LogFollower:
    """Reads log files until told otherwise. Times are in seconds.

    A file is polled every ``poll_min`` while it grows and ever less often, down to every
    ``poll_max``, while it does not. Positions without findings are reported every
    ``report_every``. ``heard`` is told of findings and progress at once, whether the sink can keep
    them or not. All methods belong to one event loop; :meth:`run` must be running for anything to
    be read.
    """

    def __init__(
        self,
        sink: Sink,
        *,
        heard: Heard = unheard,
        poll_min: float = 0.05,
        poll_max: float = 1.0,
        partial_after: float = 1.0,
        report_every: float = 1.0,
        watch: bool = True,
        files: Files | None = None,
        mounts: Mounts | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._sink = sink
        self._heard = heard
        self._poll_min, self._poll_max = poll_min, poll_max
        self._partial_after = partial_after
        self._report_every = report_every
        self._files = files or OwnerFiles()
        self._mounts = mounts or Mounts()
        self._now = now
        self._memory = PathMemory()
        self._attempts: dict[int, dict[str, _Followed]] = {}
        self._by_real: dict[str, list[_Followed]] = {}
        self._lanes: dict[str, _LaneState] = {}
        self._unkept = 0
        self._read_counts = ReadCounts()
        self._homeless: asyncio.Queue[_Followed] = asyncio.Queue()
        self._waker = Waker(self._wake_path) if watch else None
        self._waits = False
        self._tasks: asyncio.TaskGroup | None = None

    async def run(self) -> None:
        """Follows until cancelled; then hands over the last positions and lets go of files."""
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                for state in self._lanes.values():
                    tasks.create_task(self._serve(state), name=f"lane {state.mount.point}")
                if self._waker is not None:
                    tasks.create_task(self._waker.run(), name="inotify")
                while True:
                    followed = await self._homeless.get()
                    tasks.create_task(self._place(followed), name="place")
        finally:
            self._tasks = None
            await self._shut_down()

    async def follow(self, attempt: int, files: Iterable[LogFile], start: AttemptStart) -> None:
        """Adds files of an attempt; those that are followed already stay as they are.

        Raises StoreUnavailable when the known positions cannot be read; ask again later.
        """
        for file in files:
            if file.path in self._attempts.get(attempt, {}):
                continue
            positions = await start.positions(file.path)
            known = self._attempts.setdefault(attempt, {})
            if file.path not in known:
                known[file.path] = self._new(attempt, file, start, positions)
                self._homeless.put_nowait(known[file.path])

    async def drain(self, attempt: int, limit: float = 3.0, *, kept_needed: bool = True) -> bool:
        """Reads all files of an ended attempt to their end and delivers what was found.

        False if one could not be read within ``limit`` seconds, or, if ``kept_needed``, what was
        found not be kept. A file that was read to its end is then left alone, for what is written
        there next may be the next attempt's; draining again reads on, but no longer follows a
        truncation.
        """
        files = self._attempts.get(attempt, {}).values()
        answers = [self._ask(followed, kept_needed) for followed in files]
        if not answers:
            return True
        done, pending = await asyncio.wait(answers, timeout=limit)
        for answer in pending:
            answer.cancel()
        return not pending and all(answer.result() for answer in done)

    async def unfollow(self, attempt: int) -> None:
        """Lets go of the files of an attempt, after a last report of their positions."""
        for followed in self._attempts.pop(attempt, {}).values():
            await self._let_go(followed)

    def attempts(self) -> frozenset[int]:
        """The attempts that are followed."""
        return frozenset(self._attempts)

    def status(self, attempt: int) -> list[SourceStatus]:
        """How the reading of each file of an attempt stands."""
        return [self._status_of(followed) for followed in self._attempts.get(attempt, {}).values()]

    def health(self) -> FilesHealth:
        """How the reading of all files stands."""
        followed = [
            one for files in self._attempts.values() for one in files.values() if not one.over
        ]
        troubles = [why for one in followed if (why := one.error or _silence(one))]
        readable = (one.caught_up for one in followed if not one.error)
        now = time.monotonic()
        return FilesHealth(
            followed=len(followed),
            waiting=sum(one.source.tailer.waiting for one in followed),
            unreadable=len(troubles),
            uncertain=sum(one.uncertain for one in followed),
            lag=now - min(readable, default=now),
            unkept=self._unkept,
            bytes=self._read_counts.bytes,
            lines=self._read_counts.lines,
            why=next(iter(troubles), ""),
        )

    # making and placing sources

    def _new(
        self,
        attempt: int,
        file: LogFile,
        start: AttemptStart,
        positions: Sequence[tuple[int, ReadPosition]],
    ) -> _Followed:
        def choose(seen: FileSeen) -> StartPoint:
            return start_point(seen, self._known(attempt, file, start, positions))

        tailer = FileTailer(file, self._files, choose, partial_after=self._partial_after)
        source = Source(tailer, start.make_detector)
        return _Followed(attempt, file, source, Backlog(attempt, file.path))

    def _known(
        self,
        attempt: int,
        file: LogFile,
        start: AttemptStart,
        positions: Sequence[tuple[int, ReadPosition]],
    ) -> Known:
        trace = self._memory.of(file.path)
        earlier = [Earlier(p, trace.drained.get(a)) for a, p in positions if a != attempt]
        return Known(
            began=start.began.timestamp(),
            restarts=start.restarts,
            name_is_ours=carries(file.path.rpartition("/")[2], start.marks),
            mine=next((position for a, position in positions if a == attempt), None),
            earlier=earlier,
            truncated_at=trace.truncated_at,
        )

    async def _place(self, followed: _Followed) -> None:
        """Finds the mount that a file really lies on, asking each mount in its own lane."""
        path, found = followed.file.path, False
        while not found:
            state = followed.lane = self._lane_of(self._mounts.of(path))
            try:
                path, found = await state.lane.run(partial(self._walk, followed.file, path))
            except OSError as error:
                followed.error, found = str(error), True
        if not followed.gone:
            self._settle(followed, state, path)

    def _settle(self, followed: _Followed, state: _LaneState, path: str) -> None:
        """From here on the file is read in this lane."""
        followed.real = path
        followed.source.tailer.reopen = state.mount.reopen
        state.followed.append(followed)
        self._by_real.setdefault(path, []).append(followed)
        if self._waker is not None and state.mount.local:
            self._waker.add(path)
        self._hurry(followed)

    def _walk(self, file: LogFile, path: str) -> tuple[str, bool]:
        with as_owner(file.uid, file.gid):
            return self._mounts.walk(path)

    def _lane_of(self, mount: Mount) -> _LaneState:
        if mount.point not in self._lanes:
            state = _LaneState(mount)
            self._lanes[mount.point] = state
            if self._tasks is not None:
                self._tasks.create_task(self._serve(state), name=f"lane {mount.point}")
        return self._lanes[mount.point]

    def _wake_path(self, path: str) -> None:
        for followed in self._by_real.get(path, ()):
            if not followed.over:
                self._hurry(followed)

    def _hurry(self, followed: _Followed) -> None:
        followed.due, followed.pause = 0.0, self._poll_min
        if followed.lane is not None:
            followed.lane.wake.set()

    # reading

    async def _serve(self, state: _LaneState) -> None:
        """The plan of one lane: what is due is read, then it sleeps until something is."""
        while True:
            state.wake.clear()
            now = time.monotonic()
            idle = [] if self._full else [one for one in state.followed if one.idle]
            due = [one for one in idle if one.due <= now][:_AT_ONCE]
            if due:
                await self._read(state, due)
                continue
            nearest = min((one.due for one in idle), default=now + 60)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(_NAP, nearest - now)):
                    await state.wake.wait()

    async def _read(self, state: _LaneState, due: list[_Followed]) -> None:
        for followed in due:
            followed.reading, followed.at_end, followed.due = True, False, NEVER
            followed.asked += followed.asking
            followed.asking = []
        plan = [(followed, followed.final) for followed in due]
        outcomes = await state.lane.run(
            lambda: [one.source.turn(time.monotonic(), final=final) for one, final in plan]
        )
        for (followed, final), outcome in zip(plan, outcomes, strict=True):
            followed.reading = False
            self._take(followed, outcome, final)

    def _take(self, followed: _Followed, outcome: Outcome, final: bool) -> None:
        self._note_trouble(followed, outcome)
        followed.at_end = not outcome.more
        followed.over = final and followed.at_end and not outcome.error
        if followed.at_end and not outcome.error:
            followed.caught_up = time.monotonic()
        self._gather(followed, outcome)
        self._plan_next(followed, outcome, time.monotonic())
        self._remember(followed)
        self._deliver_soon(followed)
        _answer(followed)

    def _gather(self, followed: _Followed, outcome: Outcome) -> None:
        fresh = followed.backlog.add(outcome, followed.uncertain, self._now())
        self._unkept += len(fresh.found)
        self._read_counts.bytes += outcome.bytes
        self._read_counts.lines += outcome.lines
        if fresh.found or fresh.progress is not None:
            self._heard(fresh)
        if followed.backlog.full or self._full:
            waiting, path = followed.backlog.found, followed.file.path
            log.warning("reading_waits", attempt=followed.attempt, log=path, unkept=waiting)

    @property
    def _full(self) -> bool:
        return self._unkept > MOST_OF_ALL

    def _note_trouble(self, followed: _Followed, outcome: Outcome) -> None:
        if outcome.error and outcome.error != followed.error:
            log.warning("log_unreadable", attempt=followed.attempt, why=outcome.error)
        followed.error = outcome.error
        if not outcome.error:
            followed.read_at = self._now()

    def _plan_next(self, followed: _Followed, outcome: Outcome, now: float) -> None:
        if outcome.grew:
            followed.pause = self._poll_min
        else:
            followed.pause = min(max(followed.pause, self._poll_min) * 1.5, self._poll_max)
        hurried = followed.due != NEVER
        if outcome.more or hurried:
            followed.due = 0.0
        elif not followed.over:
            followed.due = now + followed.pause

    def _remember(self, followed: _Followed) -> None:
        tailer = followed.source.tailer
        if tailer.turns != followed.turns:
            followed.turns = tailer.turns
            self._memory.truncated(followed.file.path, self._now().timestamp())
        if followed.over and not tailer.waiting:
            self._memory.drained(followed.file.path, followed.attempt, tailer.mtime_ns)

    # delivering

    def _deliver_soon(self, followed: _Followed) -> None:
        if self._urgent(followed) and not followed.delivering:
            followed.delivering = True
            assert self._tasks is not None
            self._tasks.create_task(self._deliver(followed), name="deliver")

    def _urgent(self, followed: _Followed) -> bool:
        """Is there anything to be kept that must not wait for company?"""
        if followed.backlog.found:
            return True
        overdue = time.monotonic() - followed.reported_at >= self._report_every
        last = followed.gone or (followed.at_end and bool(followed.asked))
        return followed.backlog.news and (overdue or last)

    async def _deliver(self, followed: _Followed) -> None:
        """Offers what is not kept, and what has come to it meanwhile, until it is kept."""
        pause = _SINK_PAUSE
        while self._urgent(followed):
            batch = followed.backlog.batch(followed.uncertain)
            if await self._offered(batch):
                self._note_kept(followed, batch)
                pause = _SINK_PAUSE
            else:
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_SINK_PAUSE)
        followed.delivering = False

    def _note_kept(self, followed: _Followed, batch: LogBatch) -> None:
        if followed.backlog.full or self._full:
            for state in self._lanes.values():
                state.wake.set()
        followed.backlog.keep(batch)
        self._unkept -= len(batch.found)
        followed.reported_at = time.monotonic()
        _answer(followed)

    async def _offered(self, batch: LogBatch) -> bool:
        try:
            await self._sink(batch)
        except StoreUnavailable as error:
            if not self._waits:
                log.warning("evidence_waits", attempt=batch.attempt_id, why=str(error))
            self._waits = True
            return False
        if self._waits:
            log.info("evidence_kept", attempt=batch.attempt_id)
        self._waits = False
        return True

    def _ask(self, followed: _Followed, kept_needed: bool) -> asyncio.Future[bool]:
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        followed.asking.append(_Question(kept_needed, answer))
        followed.final = True
        self._hurry(followed)
        return answer

    # letting go

    async def _let_go(self, followed: _Followed) -> None:
        followed.gone = True
        if followed.real:
            self._forget(followed)
        if followed.backlog.news and not followed.delivering and not followed.reading:
            with contextlib.suppress(NotLeader):
                await self._offered(followed.backlog.batch(followed.uncertain))
        if followed.lane is not None:
            followed.lane.lane.post(followed.source.tailer.close)

    def _forget(self, followed: _Followed) -> None:
        assert followed.lane is not None
        followed.lane.followed.remove(followed)
        same = self._by_real[followed.real]
        same.remove(followed)
        if not same:
            del self._by_real[followed.real]
        if self._waker is not None and followed.lane.mount.local:
            self._waker.discard(followed.real)

    async def _shut_down(self) -> None:
        """The last positions, as far as the sink takes them; hung threads are left behind."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2.0):
                for attempt in list(self._attempts):
                    await self.unfollow(attempt)
        for state in self._lanes.values():
            state.lane.stop()
        self._lanes.clear()

    def _status_of(self, followed: _Followed) -> SourceStatus:
        tailer = followed.source.tailer
        start, position = tailer.start, followed.backlog.position
        return SourceStatus(
            path=followed.file.path,
            origin=followed.file.origin,
            offset=position.offset if position else 0,
            lines=position.line_no if position else 0,
            read_at=followed.read_at,
            error=followed.error or _silence(followed),
            waiting=tailer.waiting,
            uncertain=followed.uncertain,
            start=start.reason if start else "",
        )


def _answer(followed: _Followed) -> None:
    """Tells those who asked before the last turn; a file that cannot be read is a False."""
    if not followed.at_end:
        return
    unkept = followed.backlog.news
    for question in followed.asked:
        if not (question.kept_needed and unkept) and not question.answer.done():
            question.answer.set_result(not followed.error)
    followed.asked = [question for question in followed.asked if not question.answer.done()]


def _silence(followed: _Followed) -> str:
    if followed.lane is None or followed.lane.lane.stuck_for() < _SILENT:
        return ""
    seconds = followed.lane.lane.stuck_for()
    return f"{followed.lane.mount.point} has not answered for {seconds:.0f} s"
