"""The quick look at a whole block: where in it may which rule speak?

An engine may only err by naming too much. Whether a rule really speaks of a line is found with RE2
(:mod:`ajrd.detect.compiled`) whatever the engine, so every engine leads to the same findings.
hyperscan is given the texts that a rule's patterns cannot do without
(:mod:`ajrd.detect.prefilter`), and the patterns themselves where there are none.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

from ajrd.detect import dbcache
from ajrd.detect.catalogue import Catalogue
from ajrd.detect.compiled import CompiledProgress, CompiledRule
from ajrd.detect.dbcache import Expression
from ajrd.detect.pattern import Regex, check, compile_any, groupless
from ajrd.detect.plan import plan_of
from ajrd.errors import ConfigError

#: Places in one block after which they are no longer told one by one.
MANY = 4096


@dataclass(frozen=True, slots=True)
class Suspects:
    """Where rules may speak: (byte of the block in the line, index of the rule), in order.

    Of a ``crowded`` block, with more than ``MANY`` places, only the rules are told.
    """

    places: tuple[tuple[int, int], ...] = ()
    crowded: frozenset[int] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.places or self.crowded)


NOBODY = Suspects()


class Engine(Protocol):
    """A compiled catalogue. May be shared by threads."""

    ready: Ready

    def suspects(self, block: bytes) -> Suspects:
        """The rules that may speak of lines of the block: never too few."""

    def may_progress(self, block: bytes) -> bool:
        """May a line of the block be progress? Never wrongly False."""


class Ready:
    """The exact rules of a catalogue, made ready when they are first needed."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self.progress = CompiledProgress(catalogue.progress)
        self._common: tuple[list[Regex], Regex | None] | None = None
        self.rule = lru_cache(maxsize=None)(self._rule)
        self.finder = lru_cache(maxsize=64)(self._finder)

    def _rule(self, index: int) -> CompiledRule:
        """One rule."""
        if self._common is None:
            patterns, vetoes = self.catalogue.common_facts, self.catalogue.common_exclusions
            facts = [check(p, sensitive=False, re2_only=True) for p in patterns]
            veto = compile_any((groupless(p), False) for p in vetoes) if vetoes else None
            self._common = facts, veto
        return CompiledRule(self.catalogue.rules[index], *self._common)

    def _finder(self, rules: frozenset[int]) -> Regex:
        """Finds the next line of a block of which one of the rules may speak."""
        chosen = [self.catalogue.rules[index] for index in sorted(rules)]
        return compile_any((groupless(p), rule.sensitive) for rule in chosen for p in rule.patterns)


class HyperscanEngine:
    """Intel's hyperscan (or its fork vectorscan), in block mode."""

    def __init__(self, catalogue: Catalogue, cache: Path | None = None) -> None:
        self.ready = Ready(catalogue)
        self._owners = plan_of(catalogue, cache)
        every = list(self._owners)
        progress = [Expression(groupless(r.pattern), r.sensitive) for r in catalogue.progress]
        self._every = _Scanner(every, cache)
        self._first = _Scanner([replace(e, once=True) for e in every], cache)
        self._progress = _Scanner([replace(e, once=True) for e in progress], cache)
        self._owner_lists = list(self._owners.values())

    def suspects(self, block: bytes) -> Suspects:
        """Scans the block; other Python threads run meanwhile."""
        hits = self._every.scan(block, MANY)
        if not hits:
            return NOBODY
        owners = self._owner_lists
        if len(hits) > MANY:
            hits = self._first.scan(block, len(owners))
            return Suspects(crowded=frozenset(o for _, number in hits for o in owners[number]))
        return Suspects(tuple((end - 1, owner) for end, number in hits for owner in owners[number]))

    def may_progress(self, block: bytes) -> bool:
        """Stops at the first sign of progress."""
        return bool(self._progress.scan(block, 0))


class _Scanner:
    """A database, compiled or read when it is first needed, and working memory for each thread."""

    def __init__(self, expressions: list[Expression], cache: Path | None) -> None:
        self._expressions = expressions
        self._cache = cache
        self._database: Any = None
        self._lock = threading.Lock()
        self._local = threading.local()

    def scan(self, block: bytes, most: int) -> list[tuple[int, int]]:
        """(end of the match, number of the expression), in the order of the ends.

        Stops soon after ``most`` matches. Raises RefusedError at the first call.
        """
        hits: list[tuple[int, int]] = []
        if not self._expressions:
            return hits

        def note(number: int, _start: int, end: int, _flags: int, _context: object) -> bool:
            hits.append((end, number))
            return len(hits) > most

        database = self._ready()
        try:
            database.scan(block, match_event_handler=note, scratch=self._scratch(database))
        except dbcache.STOPPED:
            return hits
        return hits

    def _ready(self) -> Any:
        if self._database is None:
            with self._lock:
                if self._database is None:
                    self._database = dbcache.database(self._expressions, self._cache)
        return self._database

    def _scratch(self, database: Any) -> object:
        scratch: object | None = getattr(self._local, "scratch", None)
        if scratch is None:
            scratch = self._local.scratch = dbcache.scratch(database)
        return scratch


class Re2Engine:
    """RE2 alone, where hyperscan is not to be had: about a quarter of its speed."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.ready = Ready(catalogue)
        self._all = frozenset(range(len(catalogue.rules)))
        self._any = self.ready.finder(self._all) if catalogue.rules else None

    def suspects(self, block: bytes) -> Suspects:
        """All rules or none: the finder costs the same for one as for all."""
        found = self._any is not None and self._any.search(block) is not None
        return Suspects(crowded=self._all) if found else NOBODY

    def may_progress(self, block: bytes) -> bool:
        """RE2 finds it as quickly as it could be ruled out."""
        return True


def compile_engine(catalogue: Catalogue, cache: Path | None = None) -> Engine:
    """The best engine to be had here.

    ``cache`` is a folder for compiled databases, by default the user's own. Raises ConfigError
    with the rule that hyperscan refuses.
    """
    if not dbcache.AVAILABLE or not catalogue.every:
        return Re2Engine(catalogue)
    engine = HyperscanEngine(catalogue, cache)
    try:
        engine.suspects(b"")
        engine.may_progress(b"")
    except dbcache.RefusedError as error:
        raise ConfigError(_culprit(catalogue, str(error))) from None
    return engine


def _culprit(catalogue: Catalogue, reason: str) -> str:
    """hyperscan does not say which pattern it refused: ask for each."""
    for where, rule_id, pattern in _patterns(catalogue):
        if why := dbcache.refusal(Expression(groupless(pattern), False)):
            return f"{where}: rule {rule_id}: hyperscan refuses {pattern!r}: {why}"
    return f"hyperscan refuses the catalogue as a whole: {reason}"


def _patterns(catalogue: Catalogue) -> Iterator[tuple[str, str, str]]:
    for rule in catalogue.rules:
        yield from ((rule.where, rule.id, pattern) for pattern in rule.patterns)
    yield from ((rule.where, rule.id, rule.pattern) for rule in catalogue.progress)
