"""From entries to evidence: whose are they, were they read before, what do they tell?

There is one detector for each stream of each attempt. It sees the entries that Loki let through, in
the order in which they come, and no lines between them. An entry's time stands for its offset: that
orders the lines of a stream, and so tells what is behind what.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum
from functools import partial
from typing import Protocol

import structlog

from ajrd.detect.findings import Findings
from ajrd.detect.nodelog import concerns
from ajrd.loki.attribute import NotYet, Owner, Roster
from ajrd.loki.entries import Entry, Stream, name_of, twin_of
from ajrd.loki.health import Health
from ajrd.loki.seen import Seen
from ajrd.model import Anomaly, Finding, Progress
from ajrd.policy.evidence import Pulse
from ajrd.store.evidence import BY_LOKI

log = structlog.get_logger("ajrd.loki")

#: Bytes judged at once, and entries of one stream that are looked at for the newest progress.
_BLOCK, _NEWEST = 512 * 1024, 16
#: Streams that are listened to; with more of them the oldest is begun anew when it speaks again.
_MOST_EARS = 20_000


class What(Enum):
    """What a question to Loki is about."""

    JOBS = "jobs"
    PROGRESS = "progress"
    NODES = "nodes"


class Listener(Protocol):
    """A detector; see :class:`ajrd.logs.feed.Detector`."""

    def feed(self, block: bytes, offset: int, line_no: int) -> Findings:
        """Judges the next complete lines."""


@dataclass(frozen=True, slots=True)
class Told:
    """What some entries of one stream told about one attempt; ``entries`` go with ``found``."""

    owner: Owner
    stream: Stream
    source: str
    found: tuple[Anomaly, ...] = ()
    entries: tuple[Entry, ...] = ()
    progress: Progress | None = None
    pulse: Pulse | None = None


@dataclass(frozen=True, slots=True)
class Taken:
    """``waits`` is the time (ns) of the first entry that cannot be told to be anybody's yet."""

    told: list[Told]
    waits: int | None


@dataclass(slots=True)
class _Ear:
    """The detector of one stream, and how many of its entries were heard."""

    listener: Listener
    heard: int = 0


@dataclass(slots=True)
class Ears:
    """Judges the entries of all attempts. Used by one event loop; detection has its own thread.

    ``make`` makes the detector of an attempt; ``of_nodes`` are the rules that are believed when
    they speak in the log of a node.
    """

    roster: Roster
    make: Callable[[int], Listener]
    clock: Callable[[], datetime]
    of_nodes: Callable[[], frozenset[str]]
    seen: Seen = field(default_factory=Seen)
    _ears: dict[tuple[int, What, str], _Ear] = field(default_factory=dict)
    _pulses: dict[tuple[int, str], int] = field(default_factory=dict)
    _one: asyncio.Lock = field(default_factory=asyncio.Lock)
    _thread: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(1, thread_name_prefix="loki")
    )

    def stop(self) -> None:
        """Ends the thread."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def forget(self, attempt: int) -> None:
        """Nothing more is wanted of an attempt, or all of it once more."""
        self.seen.forget(attempt)
        self._ears = {key: ear for key, ear in self._ears.items() if key[0] != attempt}
        self._pulses = {key: ns for key, ns in self._pulses.items() if key[0] != attempt}

    def unsee(self, told: Iterable[Told]) -> None:
        """What was found could not be told: it is to be found again."""
        for each in told:
            for entry in each.entries:
                self.seen.discard(each.owner.attempt, name_of(entry))

    def newest_progress(self, attempt: int) -> int:
        """The time (ns) of the newest sign of progress of an attempt in any stream; -1: none."""
        return max((ns for key, ns in self._pulses.items() if key[0] == attempt), default=-1)

    async def take(self, what: What, entries: Iterable[Entry], health: Health) -> Taken:
        """Judges what was not judged before."""
        async with self._one:
            groups, waits = self._sorted_out(what, entries, health)
            told: list[Told] = []
            for (owner, stream), group in groups.items():
                told += await self._hear(what, owner, stream, group)
            health.found += sum(len(each.found) for each in told)
            return Taken(told, waits)

    # whose

    def _sorted_out(
        self, what: What, entries: Iterable[Entry], health: Health
    ) -> tuple[Mapping[tuple[Owner, Stream], list[Entry]], int | None]:
        groups: dict[tuple[Owner, Stream], list[Entry]] = {}
        waits: int | None = None
        for entry in entries:
            for owner in self._owners(what, entry):
                if isinstance(owner, NotYet):
                    health.early += 1
                    waits = entry.ns if waits is None else min(waits, entry.ns)
                elif owner is None:
                    health.unmanaged += 1
                elif self._is_news(what, owner.attempt, entry):
                    groups.setdefault((owner, entry.stream), []).append(entry)
        return groups, waits

    def _owners(self, what: What, entry: Entry) -> Sequence[Owner | NotYet | None]:
        if what is What.NODES:
            return self.roster.on_node(entry) or (None,)
        return (self.roster.whose(entry),)

    def _is_news(self, what: What, attempt: int, entry: Entry) -> bool:
        if what is What.PROGRESS:
            return entry.ns > self._pulses.get((attempt, entry.stream.key), -1)
        return (attempt, name_of(entry)) not in self.seen

    # what

    async def _hear(
        self, what: What, owner: Owner, stream: Stream, group: list[Entry]
    ) -> Iterable[Told]:
        group = list({name_of(entry): entry for entry in group}.values())
        group.sort(key=lambda entry: entry.ns)
        if what is What.PROGRESS:
            group = group[-_NEWEST:]
        ear = self._ear(what, owner.attempt, stream)
        loop = asyncio.get_running_loop()
        try:
            results = await loop.run_in_executor(self._thread, partial(_judged, ear, group))
        except Exception as failure:  # one strange line must not stop the logs of all jobs
            log.error("detection_failed", stream=stream.short, why=repr(failure))
            results = []
        if what is What.PROGRESS:
            self._pulses[owner.attempt, stream.key] = group[-1].ns
        else:
            for entry in group:
                self.seen.add(owner.attempt, name_of(entry))
        return [
            told
            for result in results
            if (told := self._told(what, owner, stream, result)) is not None
        ]

    def _ear(self, what: What, attempt: int, stream: Stream) -> _Ear:
        key = attempt, what, stream.key
        if key not in self._ears:
            if len(self._ears) >= _MOST_EARS:
                del self._ears[next(iter(self._ears))]
            self._ears[key] = _Ear(self.make(attempt))
        return self._ears[key]

    def _told(self, what: What, owner: Owner, stream: Stream, result: _Judged) -> Told | None:
        now, source = self.clock(), self._source(stream)
        found = [] if what is What.PROGRESS else list(self._believed(what, owner, result))
        progress = None if what is What.NODES else result.progress
        if not found and progress is None:
            return None
        return Told(
            owner,
            stream,
            source,
            tuple(Anomaly(f, source, now, twin_of(e, place, f.rule)) for f, e, place in found),
            tuple(entry for _, entry, _ in found),
            progress,
            Pulse(source, progress.offset, now) if progress is not None else None,
        )

    def _believed(
        self, what: What, owner: Owner, result: _Judged
    ) -> Iterator[tuple[Finding, Entry, int]]:
        """All of a job's own log; of a node's what concerns the job."""
        if what is What.JOBS:
            yield from result.found
            return
        known = self.roster.attempts.get(owner.attempt)
        node = {"node": owner.value.partition(".")[0]}
        for finding, entry, place in result.found:
            numbers = known.numbers if known is not None else ()
            if finding.rule in self.of_nodes() and concerns(finding, entry.line, numbers):
                yield replace(finding, facts=node | dict(finding.facts)), entry, place

    def _source(self, stream: Stream) -> str:
        """The file and its node, or the stream itself."""
        file, node = self.roster.file_of(stream), self.roster.node_of(stream)
        if not file:
            return f"{BY_LOKI}{stream.short}"
        return f"{BY_LOKI}{node}:{file}" if node else f"{BY_LOKI}{file}"


@dataclass(frozen=True, slots=True)
class _Judged:
    """What a block told: findings with their entries and how many bytes into those they stand."""

    found: list[tuple[Finding, Entry, int]]
    progress: Progress | None


def _judged(ear: _Ear, group: Sequence[Entry]) -> list[_Judged]:
    return [_judge(ear, part) for part in _parts(group)]


def _parts(group: Sequence[Entry]) -> Iterator[list[Entry]]:
    part: list[Entry] = []
    size = 0
    for entry in group:
        if part and size + len(entry.line) > _BLOCK:
            yield part
            part, size = [], 0
        part.append(entry)
        size += len(entry.line)
    if part:
        yield part


def _judge(ear: _Ear, entries: Sequence[Entry]) -> _Judged:
    """One block of entries, each a line; places in the block become times of entries."""
    base = entries[0].ns
    lines = [entry.line.encode("utf-8", "replace") + b"\n" for entry in entries]
    starts = [0]
    for line in lines[:-1]:
        starts.append(starts[-1] + len(line))
    news = ear.listener.feed(b"".join(lines), base, ear.heard)
    before, ear.heard = ear.heard, ear.heard + len(entries)

    def at(offset: int) -> int:
        return bisect_right(starts, offset - base) - 1

    found = []
    for finding in news.found:
        number = at(finding.offset)
        entry = entries[number]
        placed = replace(finding, offset=entry.ns, line_no=before + number + 1)
        found.append((placed, entry, finding.offset - base - starts[number]))
    progress = news.progress
    if progress is not None:
        number = at(progress.offset)
        progress = replace(progress, offset=entries[number].ns, line_no=before + number + 1)
    return _Judged(found, progress)
