"""Whose entry is it? By labels, by the file's name, by the line; then by time. Pure.

A job is found by the first of these that names one: a label with its number, the path of a file
that Slurm names as its output, a file name that carries its number, a pattern on the line. Of its
attempts it is the newest that had begun at the entry's time.

An attempt is known to run *until* a moment: the last look at Slurm that showed it, and a little
longer, for a successor cannot start within a second of a kill. An entry from later may belong to
an attempt that ajrd has not seen yet: it has to wait for the next look.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property

from ClusterShell.NodeSet import NodeSet, NodeSetException

from ajrd.detect.pattern import Regex
from ajrd.logs.naming import carries, marks_of
from ajrd.loki.entries import Entry, Stream
from ajrd.model import JobInfo
from ajrd.store.records import AttemptRecord

#: How long after a look an attempt is still known to run, seconds.
AHEAD = 1.5
#: How much earlier than its first attempt a job's entries may be: clocks of nodes differ, seconds.
SKEW = 5.0
SECOND = 1_000_000_000
#: Streams of which it is remembered whose they are.
_MOST_STREAMS = 50_000
_DIGITS = re.compile(r"\d+")


@dataclass(frozen=True, kw_only=True)
class Labels:
    """Where the names stand: labels or structured metadata, the first that is there counts."""

    job: tuple[str, ...]
    file: tuple[str, ...]
    node: tuple[str, ...]
    file_pattern: Regex | None = None
    line_pattern: Regex | None = None

    @cached_property
    def names(self) -> frozenset[str]:
        """All of them."""
        return frozenset((*self.job, *self.file, *self.node))


@dataclass(slots=True)
class Known:
    """An attempt whose entries are wanted; ``until`` (ns) is as far as it surely ran."""

    attempt: AttemptRecord
    job_id: str
    numbers: frozenset[str]
    marks: tuple[str, ...]
    paths: frozenset[str]
    nodes: frozenset[str]
    until: int = 0
    left_at: datetime | None = None

    @property
    def began(self) -> int:
        """When it began, ns."""
        return nanoseconds(self.attempt.started_at)


@dataclass(frozen=True, slots=True)
class Owner:
    """An entry's attempt, and the label and its value that named the job: "" if none did."""

    attempt: int
    label: str = ""
    value: str = ""


@dataclass(frozen=True, slots=True)
class NotYet:
    """The entry is of a known job, and later than what is known of it."""


NOT_YET = NotYet()


def nanoseconds(moment: datetime) -> int:
    """Since 1970."""
    return int(moment.timestamp() * 1_000_000) * 1000


@dataclass(slots=True)
class Roster:
    """The attempts that are looked for, by all the names that entries may give them."""

    labels: Labels
    attempts: dict[int, Known] = field(default_factory=dict)
    _by_job: dict[str, list[Known]] = field(default_factory=dict)
    _by_number: dict[str, str] = field(default_factory=dict)
    _by_path: dict[str, str] = field(default_factory=dict)
    _by_digits: dict[str, list[Known]] = field(default_factory=dict)
    _by_node: dict[str, list[Known]] = field(default_factory=dict)
    _by_stream: dict[str, tuple[str, str, str] | None] = field(default_factory=dict)
    _stale: bool = False

    def attend(self, seen: JobInfo, attempt: AttemptRecord, now: datetime) -> bool:
        """Slurm has just shown the attempt; True if it was not known."""
        until = nanoseconds(now + timedelta(seconds=AHEAD))
        known = self.attempts.get(attempt.id)
        if known is not None and known.attempt.nodes == attempt.nodes:
            known.attempt, known.until, known.left_at = attempt, until, None
            return False
        self.attempts[attempt.id] = Known(
            attempt,
            seen.job_id,
            frozenset({seen.job_id, str(seen.raw_id), *map(str, seen.components)}),
            marks_of(seen),
            frozenset(path for path in (seen.std_out, seen.std_err) if path),
            short_names(attempt.nodes),
            until,
        )
        self._stale = True
        return known is None

    def leave(self, attempt: int, now: datetime) -> None:
        """The attempt is over; what comes late is still wanted."""
        if attempt in self.attempts:
            self.attempts[attempt].left_at = now

    def forget(self, attempts: Iterable[int]) -> None:
        """Nothing more is wanted of them."""
        for attempt in attempts:
            self._stale = self.attempts.pop(attempt, None) is not None or self._stale

    def whose(self, entry: Entry) -> Owner | NotYet | None:
        """The attempt of an entry of a job's log; None: of no job that is looked for."""
        self._arrange()
        if entry.stream.key not in self._by_stream:
            if len(self._by_stream) >= _MOST_STREAMS:
                self._by_stream.clear()
            self._by_stream[entry.stream.key] = self._job_of(entry.stream)
        found = self._by_stream[entry.stream.key]
        if found is None and self.labels.line_pattern is not None:
            found = self._by_line(entry, self.labels.line_pattern)
        if found is None:
            return None
        job_id, label, value = found
        attempt = self._at(self._by_job[job_id], entry.ns)
        return Owner(attempt.attempt.id, label, value) if isinstance(attempt, Known) else attempt

    def on_node(self, entry: Entry) -> list[Owner]:
        """The attempts that had the node of an entry of its own log at the time."""
        self._arrange()
        label, value = _first(entry.stream, self.labels.node)
        attempts = self._by_node.get(short_name(value), ())
        return [
            Owner(known.attempt.id, label, value)
            for known in attempts
            if known.began <= entry.ns <= known.until
        ]

    def node_of(self, stream: Stream) -> str:
        """The node that a stream names, "" if none."""
        return _first(stream, self.labels.node)[1]

    def file_of(self, stream: Stream) -> str:
        """The file that a stream names, "" if none."""
        return _first(stream, self.labels.file)[1]

    def _job_of(self, stream: Stream) -> tuple[str, str, str] | None:
        label, number = _first(stream, self.labels.job)
        if number:
            job_id = self._by_number.get(number)
            return None if job_id is None else (job_id, label, number)
        label, path = _first(stream, self.labels.file)
        job_id = self._by_path.get(path) or self._by_name(path.rpartition("/")[2])
        return None if job_id is None else (job_id, label, path)

    def _by_name(self, name: str) -> str | None:
        """The one job whose number a file name carries; several are none."""
        pattern = self.labels.file_pattern
        if pattern is not None:
            return self._by_number.get(_job_in(pattern, name))
        digits = dict.fromkeys(_DIGITS.findall(name))
        candidates = [known for number in digits for known in self._by_digits.get(number, ())]
        jobs = {known.job_id for known in candidates if carries(name, known.marks)}
        return jobs.pop() if len(jobs) == 1 else None

    def _by_line(self, entry: Entry, pattern: Regex) -> tuple[str, str, str] | None:
        job_id = self._by_number.get(_job_in(pattern, entry.line))
        return None if job_id is None else (job_id, "", "")

    @staticmethod
    def _at(attempts: Sequence[Known], ns: int) -> Known | NotYet | None:
        """The newest attempt that had begun.

        Before a job's very first attempt clocks may be blamed; before a later one it was another.
        """
        begun = [known for known in attempts if known.began <= ns]
        if not begun:
            first = attempts[0]
            early = first.attempt.idx == 0 and ns >= first.began - SKEW * SECOND
            return first if early else None
        newest = begun[-1]
        return newest if newest is not attempts[-1] or ns <= newest.until else NOT_YET

    def _arrange(self) -> None:
        """Indexes all names anew if attempts have come or gone, which is rare."""
        if not self._stale:
            return
        self._stale = False
        for index in (self._by_job, self._by_number, self._by_path, self._by_node, self._by_stream):
            index.clear()
        self._by_digits.clear()
        for known in sorted(self.attempts.values(), key=lambda known: known.began):
            self._by_job.setdefault(known.job_id, []).append(known)
            self._by_number.update(dict.fromkeys(known.numbers, known.job_id))
            self._by_path.update(dict.fromkeys(known.paths, known.job_id))
            for number in {mark.partition("_")[0] for mark in known.marks}:
                self._by_digits.setdefault(number, []).append(known)
            for node in known.nodes:
                self._by_node.setdefault(node, []).append(known)


def _first(stream: Stream, names: Iterable[str]) -> tuple[str, str]:
    for name in names:
        if value := stream.labels.get(name, ""):
            return name, value
    return "", ""


def _job_in(pattern: Regex, text: str) -> str:
    match = pattern.search(text.encode("utf-8", "replace"))
    value = match.groupdict().get(b"job") if match else None
    return (value or b"").decode("ascii", "replace")


def short_names(nodes: str) -> frozenset[str]:
    """The nodes of a list in Slurm's notation, without their domains."""
    try:
        return frozenset(short_name(node) for node in NodeSet(nodes))
    except NodeSetException:
        return frozenset()


def short_name(node: str) -> str:
    """A node's name without its domain, in lower case."""
    return node.partition(".")[0].lower()
