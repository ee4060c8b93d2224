"""What the hooks tell, for the recovery loop: a source of logs beside files and Loki.

An end makes the loop look at Slurm at once. Lines of a kernel are evidence on the attempt that had
the node: the newest that had begun when the message was written, for no successor starts before
the epilogs of its predecessor are over; and of that only what the kernel said after it began. The
restart count cannot tell: at a requeue Slurm gives the next one to the epilog (seen on 22.05). A
message stays in its folder until its evidence is in the store.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

import structlog
from watchfiles import awatch

from ajrd.detect.catalogue import Catalogue
from ajrd.detect.findings import Findings
from ajrd.detect.nodelog import concerns
from ajrd.errors import StoreUnavailable
from ajrd.hooks.message import Event, Message
from ajrd.hooks.spool import Letter, Spool
from ajrd.logs.lanes import Lanes
from ajrd.logs.mounts import Mounts
from ajrd.loki.logql import speaks_of_nodes
from ajrd.model import Anomaly, Directive, Finding, JobInfo, Kind
from ajrd.policy.evidence import Pulse
from ajrd.store.records import AnomalyRecord, AttemptRecord, JobRecord
from ajrd.store.store import Store

log = structlog.get_logger("ajrd.hooks")

T = TypeVar("T")

#: Seconds between two looks into a folder: inotify does not see what other nodes write.
POLL = 1.0
#: A job that is said to have ended may be COMPLETING still. So often, and for so long, the loop is
#: made to look again, seconds.
AGAIN, COMPLETING = 0.25, 30.0
#: Seconds that a look into a folder may take before its file server counts as silent.
LOOK_LIMIT = 5.0
#: For so long a message waits for its attempt to be known, and an attempt for its last messages, s.
KEEP = 600.0
#: Messages that wait at most; the oldest go first.
_MOST_WAITING = 5000


class Listener(Protocol):
    """A detector; see :class:`ajrd.logs.feed.Detector`."""

    def feed(self, block: bytes, offset: int, line_no: int) -> Findings:
        """Judges the next complete lines."""


class Rules(Protocol):
    """The catalogue in use, which may change; see :class:`ajrd.judgement.Judgement`."""

    catalogue: Catalogue

    def listener(self, progress: str) -> Listener:
        """A detector of one stream."""


@dataclass(slots=True)
class _Known:
    """An attempt that messages may be about.

    By the monotonic clock: when an end was told first, and when the attempt was left.
    """

    attempt: AttemptRecord
    numbers: frozenset[str]
    told_at: float | None = None
    left_at: float | None = None

    def completing(self, now: float) -> bool:
        """Has Slurm not shown the end yet that a hook has told?"""
        open_still = self.attempt.ended_at is None and self.left_at is None
        return open_still and self.told_at is not None and now - self.told_at < COMPLETING


class HookWatch:
    """The :class:`~ajrd.recovery.settings.Logs` that hooks give. :meth:`run` until cancelled."""

    def __init__(
        self,
        folders: Iterable[str],
        owners: frozenset[int],
        store: Store,
        rules: Rules,
        clock: Callable[[], datetime],
        hurry: Callable[[], None],
    ) -> None:
        self._spools = [Spool(folder, owners) for folder in folders]
        self._store = store
        self._rules = rules
        self._clock = clock
        self._hurry = hurry
        self._known: dict[int, _Known] = {}
        self._waiting: dict[str, tuple[Spool, Letter]] = {}
        self._lanes = Lanes("hooks")
        self._mounts = Mounts()
        self._wake = asyncio.Event()
        self._one = asyncio.Lock()
        self._silent: set[str] = set()
        self.learn: Callable[[int, list[AnomalyRecord], Pulse | None], None] = _nobody_listens
        self.hear: Callable[[int, list[Anomaly], Pulse | None], None] = _nobody_listens

    async def run(self) -> None:
        """Reads until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                for spool in self._spools:
                    tasks.create_task(self._listen(spool), name=f"hooks {spool.folder}")
                while True:
                    self._wake.clear()
                    await self._round()
                    with suppress(TimeoutError):
                        async with asyncio.timeout(AGAIN if self._completing() else POLL):
                            await self._wake.wait()
        finally:
            self._lanes.stop()

    async def attend(
        self, job: JobRecord, seen: JobInfo, attempt: AttemptRecord, directive: Directive
    ) -> None:
        """Slurm shows the attempt: what is told of it is wanted."""
        known = self._known.get(attempt.id)
        if known is not None:
            known.attempt, known.left_at = attempt, None
            return
        numbers = frozenset({str(seen.raw_id), *map(str, seen.components)})
        self._known[attempt.id] = _Known(attempt, numbers)
        self._wake.set()

    async def drain(self, attempt: int, limit: float) -> bool:
        """Looks once more. What a hook has not told by then is not waited for."""
        if attempt in self._known:
            with suppress(TimeoutError):
                async with asyncio.timeout(limit):
                    await self._round()
        return True

    async def leave(self, attempt: int) -> None:
        """What comes late is still kept as history; without a row there is none."""
        if attempt <= 0:
            self._known.pop(attempt, None)
        elif attempt in self._known:
            self._known[attempt].left_at = time.monotonic()

    # looking

    async def _listen(self, spool: Spool) -> None:
        """inotify, where the folder is local: an end is then known within milliseconds."""
        while True:
            mount = self._mounts.of(spool.folder)
            if mount.local and Path(spool.folder).is_dir():
                with suppress(OSError, RuntimeError):
                    async for _ in awatch(spool.folder, recursive=False, debounce=20, step=5):
                        self._wake.set()
            await asyncio.sleep(POLL)

    async def _round(self) -> None:
        async with self._one:
            for spool in self._spools:
                for letter in await self._look(spool):
                    self._take(spool, letter)
            if self._completing():
                self._hurry()
            for path in list(self._waiting):
                await self._settle(path)
            self._let_go()

    def _completing(self) -> bool:
        now = time.monotonic()
        return any(known.completing(now) for known in self._known.values())

    async def _look(self, spool: Spool) -> list[Letter]:
        """A folder that is missing or silent is said to be so once."""
        try:
            letters = await self._in_lane(spool, spool.look)
        except (TimeoutError, OSError) as error:
            if spool.folder not in self._silent:
                self._silent.add(spool.folder)
                log.warning("hooks_unread", folder=spool.folder, why=str(error) or "no answer")
            return []
        self._silent.discard(spool.folder)
        self._say_refused(spool)
        return letters

    def _say_refused(self, spool: Spool) -> None:
        if spool.refused:
            why = "not of hooks.owners, not readable for ajrd, or no message"
            log.warning("hooks_refused", folder=spool.folder, files=spool.refused, why=why)
            spool.refused = 0

    async def _in_lane(self, spool: Spool, work: Callable[[], T]) -> T:
        return await self._lanes.run(self._mounts.of(spool.folder).point, work, LOOK_LIMIT)

    def _take(self, spool: Spool, letter: Letter) -> None:
        message = letter.message
        facts = {"job": message.job, "restarts": message.restart, "exit_code": message.exit_code}
        log.debug("hook", hook=message.event.value, node=message.node, **facts)
        ours = [known for known in self._known.values() if message.job in known.numbers]
        if ours:
            self._hurry()
        for known in ours:
            if message.event is not Event.START and known.told_at is None:
                known.told_at = time.monotonic()
        self._waiting[letter.path] = (spool, letter)
        if len(self._waiting) > _MOST_WAITING:
            self._waiting.pop(next(iter(self._waiting)))

    async def _settle(self, path: str) -> None:
        """Keeps what a message is evidence of; one without, or without an attempt, goes."""
        spool, letter = self._waiting[path]
        known = self._attempt_of(letter)
        wanted = letter.message.event is Event.KERNEL and letter.message.lines
        if wanted and known is None and not _old(letter):
            return
        if wanted and known is not None and not await self._record(known, letter.message):
            return
        self._waiting.pop(path, None)
        with suppress(TimeoutError):
            await self._in_lane(spool, partial(spool.remove, path))

    def _attempt_of(self, letter: Letter) -> _Known | None:
        ours = [known for known in self._known.values() if letter.message.job in known.numbers]
        begun = [k for k in ours if k.attempt.started_at.timestamp() <= letter.written]
        return max(begun, key=lambda known: known.attempt.idx, default=None)

    async def _record(self, known: _Known, message: Message) -> bool:
        """True if the evidence is in the store; until then recovery knows it already."""
        found = await asyncio.to_thread(self._judge, known, message)
        if not found:
            return True
        now, attempt = self._clock(), known.attempt
        seen = [Anomaly(finding, f"epilog:{message.node}", now) for finding in found]
        self.hear(attempt.id, seen, None)
        if attempt.id <= 0:
            return False
        try:
            new = await self._store.record_evidence(attempt, seen, None, None, now)
        except StoreUnavailable:
            return False
        self.learn(attempt.id, new, None)
        return True

    def _judge(self, known: _Known, message: Message) -> list[Finding]:
        """What the rules on nodes find in the lines of the attempt's time."""
        began = known.attempt.started_at.timestamp()
        lines = [line.text for line in message.lines if line.at >= began]
        if not lines:
            return []
        block = "".join(f"{line}\n" for line in lines).encode("utf-8", "replace")
        try:
            news = self._rules.listener("").feed(block, 0, 0)
        except Exception as failure:  # one strange line must not stop the hooks of all jobs
            log.error("detection_failed", hook=message.node, why=repr(failure))
            return []
        return list(self._believed(news.found, lines, known, message.node))

    def _believed(
        self, found: Iterable[Finding], lines: Sequence[str], known: _Known, node: str
    ) -> Iterator[Finding]:
        """Of memory that was used up, what names the job; of the rest, what rules on nodes know."""
        rules = self._rules.catalogue.rules
        of_nodes = {r.id for r in rules if speaks_of_nodes(r) or r.kind is Kind.OOM}
        for finding in found:
            line = lines[finding.line_no - 1]
            if finding.rule in of_nodes and concerns(finding, line, known.numbers):
                yield replace(finding, facts={"node": node, **finding.facts})

    def _let_go(self) -> None:
        latest = time.monotonic() - KEEP
        over = [n for n, known in self._known.items() if (known.left_at or latest) < latest]
        for number in over:
            del self._known[number]


def _old(letter: Letter) -> bool:
    """By the clock of the file's server, which may be another: a message from afar is kept."""
    return time.time() - letter.written > KEEP


def _nobody_listens(_attempt: int, _new: object, _pulse: Pulse | None) -> None:
    """Until the loop is built."""
