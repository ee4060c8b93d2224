"""The lines around a finding, which the filter has held back: for people, not for judgement."""

from __future__ import annotations

from collections.abc import Sequence

from ajrd.detect.detector import CONTEXT
from ajrd.detect.shown import beside
from ajrd.loki.entries import Entry
from ajrd.loki.sweep import Ask

#: How far around a line is looked, ns.
_REACH = 10_000_000_000


async def around(ask: Ask, logql: str, entry: Entry) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """A few lines before and after an entry in its own stream; LokiUnavailable passes through."""
    most = CONTEXT + 1
    start, end = entry.ns - _REACH, entry.ns + _REACH
    before = await ask.query(logql, start, entry.ns + 1, most * 4, forward=False)
    after = await ask.query(logql, entry.ns, end, most * 4)
    above = [each for each in reversed(before) if each.stream == entry.stream]
    below = [each for each in after if each.stream == entry.stream]
    return _shown(_until(above, entry)[-CONTEXT:]), _shown(_since(below, entry)[:CONTEXT])


def _until(entries: Sequence[Entry], entry: Entry) -> list[Entry]:
    """Those before it; among equal times Loki's order counts."""
    at = next((n for n, each in enumerate(entries) if each == entry), None)
    return list(entries[:at]) if at is not None else [e for e in entries if e.ns < entry.ns]


def _since(entries: Sequence[Entry], entry: Entry) -> list[Entry]:
    at = next((n for n, each in enumerate(entries) if each == entry), None)
    return list(entries[at + 1 :]) if at is not None else [e for e in entries if e.ns > entry.ns]


def _shown(entries: Sequence[Entry]) -> tuple[str, ...]:
    return tuple(beside(entry.line.encode("utf-8", "replace")) for entry in entries)
