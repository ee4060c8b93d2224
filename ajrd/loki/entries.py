"""Entries of Loki: one line each, or a few, with the stream that it stands in and its time.

A *stream* here is what the entries of one source share: its labels, and of the structured metadata
the names that ajrd is told to look at. A query and the live part of a tail tell metadata beside the
line, the history at the start of a tail among the labels (grafana/loki#23024). So what makes an
entry the same entry is all of both, but for what Loki adds by itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

#: Loki puts it in by itself, and not always.
_ADDED = "detected_level"
#: Streams that are remembered; more of them only cost memory.
_MOST = 20_000


@dataclass(frozen=True)
class Stream:
    """Its labels, and the structured metadata that counts, by name."""

    labels: Mapping[str, str]

    @cached_property
    def key(self) -> str:
        """Hex digits that stand for it."""
        text = "\0".join(f"{name}\0{value}" for name, value in sorted(self.labels.items()))
        return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=12).hexdigest()

    @cached_property
    def short(self) -> str:
        """As a selector would name it, in at most 200 characters."""
        pairs = ",".join(f'{name}="{value}"' for name, value in sorted(self.labels.items()))
        return f"{{{pairs[:198]}}}"

    def __hash__(self) -> int:
        return hash(self.key)


@dataclass(frozen=True, slots=True)
class Entry:
    """``ns`` is its time since 1970; ``beside`` stands for all of its labels and metadata."""

    stream: Stream
    ns: int
    line: str
    beside: str


@dataclass(slots=True)
class Reader:
    """Makes entries of what Loki answers; each stream is made once.

    ``names`` are the structured metadata that count.
    """

    names: frozenset[str]
    _streams: dict[tuple[tuple[str, str], ...], Stream] = field(default_factory=dict)

    def entries(self, streams: Iterable[Any]) -> Iterator[Entry]:
        """The entries of ``streams`` as both a query and a tail give them.

        Raises ValueError, KeyError, TypeError or AttributeError for what is no answer of Loki.
        """
        for each in streams:
            labels = _without_added(each["stream"])
            plain = self._stream(labels)
            for ns, line, *more in each["values"]:
                own = _without_added(more[0].get("structuredMetadata", {})) if more else {}
                counting = {name: value for name, value in own.items() if name in self.names}
                stream = self._stream(labels | counting) if counting else plain
                beside = self._stream(labels | own) if own else plain
                yield Entry(stream, int(ns), line, beside.key)

    def _stream(self, labels: Mapping[str, str]) -> Stream:
        known = tuple(sorted(labels.items()))
        if known not in self._streams:
            if len(self._streams) >= _MOST:
                self._streams.clear()
            self._streams[known] = Stream(dict(known))
        return self._streams[known]


def _without_added(labels: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in labels.items() if name != _ADDED}


def name_of(entry: Entry) -> bytes:
    """What makes an entry the same entry, however often Loki tells it."""
    text = f"{entry.beside}\0{entry.ns}\0{entry.line}"
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=16).digest()


def twin_of(entry: Entry, place: int, rule: str) -> str:
    """The name of what a rule found in an entry, ``place`` bytes from its start."""
    return hashlib.sha256(name_of(entry) + f"\0{place}\0{rule}".encode()).hexdigest()
