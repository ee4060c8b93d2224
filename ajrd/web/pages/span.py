"""The stretch of time that a timeline shows: named and live, or from one moment to another. Pure.

Moments are asked for in ISO 8601; without a zone they are of the site's own, as the fields of a
browser's form give them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

#: The stretches that end now, by name, the shortest first.
NAMED = {
    "1h": timedelta(hours=1),
    "6h": timedelta(hours=6),
    "24h": timedelta(hours=24),
    "7d": timedelta(days=7),
}
DEFAULT = "24h"
SHORTEST, LONGEST = timedelta(minutes=1), timedelta(days=92)
#: Distances between two marks of the time axis, in minutes; marks that are wanted at most, and
#: pixels that one has.
_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440, 2880, 10080, 20160)
_MARKS, _ROOM = 9, 80
_DAY = 1440
#: Years whose moments can be moved about without leaving those that Python knows.
_YEARS = range(1990, 2200)


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark of the time axis at ``x`` percent; ``day`` is set where a day begins."""

    x: float
    label: str
    day: bool


@dataclass(frozen=True, slots=True)
class Span:
    """From ``start`` to ``end``; ``name`` is one of :data:`NAMED` while it ends now, else ""."""

    start: datetime
    end: datetime
    name: str = ""

    @property
    def length(self) -> timedelta:
        """How long it is, never 0."""
        return self.end - self.start

    def x(self, when: datetime) -> float:
        """Where a moment lies, in percent; below 0 or above 100 outside."""
        return 100 * ((when - self.start) / self.length)

    def query(self) -> dict[str, str]:
        """What asks for it again."""
        if self.name:
            return {} if self.name == DEFAULT else {"range": self.name}
        return {"from": _iso(self.start), "to": _iso(self.end)}

    def zoomed(self, factor: float) -> Span:
        """The middle of it (below 1), or more around it; what ends now goes on doing so."""
        names = list(NAMED)
        if self.name:
            place = names.index(self.name) + (-1 if factor < 1 else 1)
            if 0 <= place < len(names):
                name = names[place]
                return Span(self.end - NAMED[name], self.end, name)
        length = min(max(self.length * factor, SHORTEST), LONGEST)
        middle = self.start + self.length / 2
        start = self.end - length if self.name else middle - length / 2
        return Span(start, start + length)

    def moved(self, part: float) -> Span:
        """As long, earlier (below 0) or later by a part of its length."""
        by = self.length * part
        return Span(self.start + by, self.end + by)

    def ticks(self, width: int = _MARKS * _ROOM) -> Iterator[Tick]:
        """The marks of its axis in the site's own zone; it has ``width`` pixels."""
        minutes = self.length.total_seconds() / 60
        most = min(max(width // _ROOM, 1), _MARKS)
        step = next((each for each in _STEPS if minutes / each <= most), _STEPS[-1])
        start = self.start.astimezone()
        midnight = start.replace(hour=0, minute=0, second=0, microsecond=0)
        number = int((start - midnight) / timedelta(minutes=step))
        while (when := midnight + timedelta(minutes=step * number)) < self.end:
            if when >= self.start:
                yield _tick(self.x(when), when, step)
            number += 1


def _tick(x: float, when: datetime, step: int) -> Tick:
    day = when.hour == when.minute == 0
    if step >= _DAY or day:
        return Tick(x, when.strftime("%a %-d %b"), day)
    return Tick(x, when.strftime("%H:%M"), day=False)


def read_span(query: Mapping[str, str], now: datetime) -> Span:
    """What a request asks for; what cannot be understood is the default."""
    since, until = moment(query.get("from", "")), moment(query.get("to", ""))
    if since is not None and since < now:
        until = until if until is not None and until > since else now
        return _bounded(since, until)
    name = query.get("range", DEFAULT)
    name = name if name in NAMED else DEFAULT
    return Span(now - NAMED[name], now, name)


def _bounded(since: datetime, until: datetime) -> Span:
    return Span(max(since, until - LONGEST), max(until, since + SHORTEST))


def moment(text: str) -> datetime | None:
    """A moment with its zone, None if the text is none, or none that a job can have seen."""
    try:
        when = datetime.fromisoformat(text.replace("Z", "+00:00"))
        return when.astimezone() if when.year in _YEARS else None
    except ValueError:
        return None


def _iso(when: datetime) -> str:
    return when.astimezone().isoformat(timespec="seconds")
