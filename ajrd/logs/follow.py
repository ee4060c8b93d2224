"""Following the logs of many attempts at a time, and handing what was found to a sink.

Everything that may block happens in the lane of its mount; the asyncio side only plans and
delivers. Each lane takes the files that are due, reads them in one go, and comes back. A file
whose batch the sink could not keep is not read on until it could, so memory stays bounded and
the read position never runs ahead of the evidence.
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

from ajrd.errors import StoreUnavailable
from ajrd.logs.asowner import Files, OwnerFiles, as_owner
from ajrd.logs.feed import DetectorFactory, LogBatch, Sink, SourceStatus
from ajrd.logs.lanes import Lane
from ajrd.logs.memory import PathMemory
from ajrd.logs.mounts import Mount, Mounts
from ajrd.logs.naming import carries
from ajrd.logs.source import Outcome, Source
from ajrd.logs.start import Earlier, FileSeen, Known, StartPoint, start_point
from ajrd.logs.tailer import FileTailer
from ajrd.logs.wake import Waker
from ajrd.model import LogFile, Progress, ReadPosition

log = structlog.get_logger("ajrd.logs")

NEVER = float("inf")
#: The shortest sleep of a lane's plan: files that are due soon after each other go together.
_NAP = 0.02
#: Files that a lane reads before it reports back.
_AT_ONCE = 64
#: A lane that has been silent for so long is shown as stuck, seconds.
_SILENT = 5.0
#: The longest pause before a batch is offered to the sink again, seconds.
_SINK_PAUSE = 5.0


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


@dataclass(slots=True, eq=False)
class _Followed:
    """One file of one attempt, as the planning side sees it. Times are monotonic seconds.

    ``final``: the attempt has ended; ``over``: and the file was read to its end since.
    ``asking`` wait for a turn that has yet to begin, ``asked`` for the one that has.
    """

    attempt: int
    file: LogFile
    source: Source
    due: float = 0.0
    pause: float = 0.0
    reading: bool = False
    delivering: bool = False
    final: bool = False
    over: bool = False
    gone: bool = False
    turns: int = 0
    real: str = ""
    lane: _LaneState | None = None
    error: str = ""
    read_at: datetime | None = None
    reported: ReadPosition | None = None
    reported_at: float = float("-inf")
    position: ReadPosition | None = None
    progress: Progress | None = None
    progress_at: datetime | None = None
    asking: list[asyncio.Future[bool]] = field(default_factory=list)
    asked: list[asyncio.Future[bool]] = field(default_factory=list)

    @property
    def idle(self) -> bool:
        return not (self.reading or self.delivering or self.gone)

    @property
    def news(self) -> bool:
        """Is there anything that the sink has not been given?"""
        moved = self.position is not None and self.position != self.reported
        return moved or self.progress is not None

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
    ``report_every``. All methods belong to one event loop; :meth:`run` must be running for
    anything to be read.
    """

    def __init__(
        self,
        sink: Sink,
        *,
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
        self._homeless: asyncio.Queue[_Followed] = asyncio.Queue()
        self._waker = Waker(self._wake_path) if watch else None
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

    async def drain(self, attempt: int, limit: float = 3.0) -> bool:
        """Reads all files of an ended attempt to their end and delivers what was found.

        False if one could not be read or delivered within ``limit`` seconds. A file that was
        read to its end is then left alone, for what is written there next may be the next
        attempt's; draining again reads on, but no longer follows a truncation.
        """
        answers = [self._ask(followed) for followed in self._attempts.get(attempt, {}).values()]
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
        return _Followed(attempt, file, Source(tailer, start.make_detector))

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
            due = [one for one in state.followed if one.idle and one.due <= now][:_AT_ONCE]
            if due:
                await self._read(state, due)
                continue
            nearest = min((one.due for one in state.followed if one.idle), default=now + 60)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(_NAP, nearest - now)):
                    await state.wake.wait()

    async def _read(self, state: _LaneState, due: list[_Followed]) -> None:
        for followed in due:
            followed.reading, followed.due = True, NEVER
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
        now = time.monotonic()
        self._note_trouble(followed, outcome)
        followed.over = final and not outcome.more and not outcome.error
        followed.position = outcome.position
        if outcome.progress is not None:
            followed.progress, followed.progress_at = outcome.progress, self._now()
        self._plan_next(followed, outcome, now)
        self._remember(followed)
        overdue = now - followed.reported_at >= self._report_every
        ready = followed.asked and not outcome.more
        if outcome.found or (followed.news and (overdue or ready)):
            self._deliver_soon(followed, outcome)
        elif ready:
            _answer(followed)

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

    def _deliver_soon(self, followed: _Followed, outcome: Outcome) -> None:
        batch = LogBatch(
            attempt_id=followed.attempt,
            source=followed.file.path,
            found=outcome.found,
            progress=followed.progress,
            progress_at=followed.progress_at,
            position=outcome.position,
            uncertain=followed.uncertain,
        )
        followed.progress = followed.progress_at = None
        followed.delivering = True
        assert self._tasks is not None
        self._tasks.create_task(self._deliver(followed, batch, outcome.more), name="deliver")

    async def _deliver(self, followed: _Followed, batch: LogBatch, more: bool) -> None:
        """Offers the same batch until it is kept."""
        pause = 0.1
        while not await self._offered(batch):
            await asyncio.sleep(pause)
            pause = min(pause * 2, _SINK_PAUSE)
        followed.reported, followed.reported_at = batch.position, time.monotonic()
        followed.delivering = False
        if not more:
            _answer(followed)
        if followed.lane is not None:
            followed.lane.wake.set()

    async def _offered(self, batch: LogBatch) -> bool:
        try:
            await self._sink(batch)
        except StoreUnavailable as error:
            log.warning("evidence_waits", attempt=batch.attempt_id, why=str(error))
            return False
        return True

    def _ask(self, followed: _Followed) -> asyncio.Future[bool]:
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        followed.asking.append(answer)
        followed.final = True
        self._hurry(followed)
        return answer

    # letting go

    async def _let_go(self, followed: _Followed) -> None:
        followed.gone = True
        if followed.real:
            self._forget(followed)
        if not followed.delivering and not followed.reading and followed.news:
            await self._offered(_last_report(followed))
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
        start, position = tailer.start, followed.position
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
    for answer in followed.asked:
        if not answer.done():
            answer.set_result(not followed.error)
    followed.asked = []


def _last_report(followed: _Followed) -> LogBatch:
    return LogBatch(
        attempt_id=followed.attempt,
        source=followed.file.path,
        found=(),
        progress=followed.progress,
        progress_at=followed.progress_at,
        position=followed.position,
        uncertain=followed.uncertain,
    )


def _silence(followed: _Followed) -> str:
    if followed.lane is None or followed.lane.lane.stuck_for() < _SILENT:
        return ""
    seconds = followed.lane.lane.stuck_for()
    return f"{followed.lane.mount.point} has not answered for {seconds:.0f} s"
