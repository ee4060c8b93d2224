"""The sweep: every entry of a stretch of time, however many there are.

Loki answers with at most ``limit`` entries, from ``start`` on and before ``end``. So a full page is
continued at the time of its last entry, which brings some entries twice; whoever takes them knows
them by name. A page that is full of one single time would be continued for ever: such a group is
asked for with a larger limit, and where Loki allows none it is divided by a character of the lines,
once with and once without it, until each part is answered whole.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from ajrd.errors import LokiTooMuch, LokiUnavailable
from ajrd.loki.client import limit_in
from ajrd.loki.entries import Entry
from ajrd.loki.health import Health
from ajrd.loki.logql import literal, quoted

#: The shortest stretch that is still divided, ns.
_SHORTEST = 1_000_000_000
#: How much larger a limit is tried for a group of equal time, how often a group is divided, and
#: characters of a line that are looked at.
_LARGER, _DEEPEST, _LOOKED_AT = 10, 40, 400


class Ask(Protocol):
    """A Loki that can be asked."""

    health: Health

    async def query(
        self, logql: str, start: int, end: int, limit: int, *, forward: bool = True
    ) -> list[Entry]:
        """See :meth:`ajrd.loki.client.Loki.query`."""


@dataclass(slots=True)
class Pages:
    """Reads stretches page by page; what Loki was seen to refuse is asked for in smaller parts.

    ``limit`` and ``window`` (ns) come down to what Loki allows; the window grows again.
    """

    loki: Ask
    limit: int
    window: int
    longest: int

    async def read(self, logql: str, start: int, end: int) -> AsyncIterator[list[Entry]]:
        """All entries of a stretch, roughly in order; some are told twice."""
        at = start
        while at < end:
            until = min(end, at + self.window)
            try:
                page = await self.loki.query(logql, at, until, self.limit)
            except LokiTooMuch as error:
                self._ask_for_less(error, until - at)
                continue
            if page:
                yield page
            if len(page) < self.limit:
                at = until
                self.window = min(self.window * 2, self.longest)
            elif page[-1].ns > at:
                at = page[-1].ns
            else:
                async for part in self._moment(logql, at):
                    yield part
                at += 1

    async def newest(self, logql: str, since: int, end: int, pages: int) -> AsyncIterator[Entry]:
        """The newest entries before ``end``, newest first, as far as ``pages`` answers hold."""
        for _ in range(pages):
            page = await self.loki.query(logql, since, end, self.limit, forward=False)
            for entry in page:
                yield entry
            if len(page) < self.limit:
                return
            end = min(page[-1].ns + 1, end - 1)

    def _ask_for_less(self, error: LokiTooMuch, asked: int) -> None:
        allowed = limit_in(error)
        if allowed is not None and allowed < self.limit:
            self.limit = allowed
        elif asked > _SHORTEST:
            self.window = max(asked // 2, _SHORTEST)
        else:
            raise LokiUnavailable(f"even for one second: {error}", error.pause) from None

    async def _moment(self, logql: str, ns: int) -> AsyncIterator[list[Entry]]:
        """All entries of one nanosecond, of which there are more than one answer holds."""
        try:
            page = await self.loki.query(logql, ns, ns + 1, self.limit * _LARGER)
        except LokiTooMuch:
            page = []
        if page and len(page) < self.limit * _LARGER:
            yield page
            return
        async for part in self._divided(logql, ns, _DEEPEST):
            yield part

    async def _divided(self, logql: str, ns: int, deep: int) -> AsyncIterator[list[Entry]]:
        page = await self.loki.query(logql, ns, ns + 1, self.limit)
        mark = _dividing({entry.line for entry in page})
        if len(page) < self.limit or mark is None or deep == 0:
            self.loki.health.unsplit += len(page) >= self.limit
            yield page
            return
        for sign in ("|~", "!~"):
            async for part in self._divided(f"{logql} {sign} {literal(mark)}", ns, deep - 1):
                yield part


def _dividing(lines: set[str]) -> str | None:
    """An expression that about half of the lines match: one character at one place."""
    best, nearest = None, 0
    half = len(lines) // 2
    for place in range(min(max(map(len, lines), default=0), _LOOKED_AT)):
        counts = Counter(line[place] for line in lines if len(line) > place)
        for character, count in counts.items():
            worth = min(count, len(lines) - count)
            if worth > nearest and character.isprintable():
                best, nearest = f"^(?s:.{{{place}}}){quoted(character)}", worth
        if nearest * 4 >= half:
            break
    return best
