"""The quick look at a whole block: which rules may speak of a line in it?

An engine may only err by naming too much. Where the lines are, and whether a rule really speaks
of them, is found with RE2 (:mod:`ajrd.detect.compiled`) whatever the engine, so every engine
leads to the same findings. hyperscan reports each pattern at most once for a block, so a log
made of nothing but crash lines costs it no more than a clean one.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from ajrd.detect import dbcache
from ajrd.detect.catalogue import Catalogue
from ajrd.detect.compiled import CompiledProgress, CompiledRule
from ajrd.detect.dbcache import Expression
from ajrd.detect.pattern import Regex, check, compile_any, groupless
from ajrd.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Suspects:
    """Indexes into the rules of the catalogue, and whether progress was seen."""

    rules: frozenset[int]
    progress: bool


NOTHING = Suspects(frozenset(), False)


class Engine(Protocol):
    """A compiled catalogue. May be shared by threads."""

    ready: Ready

    def suspects(self, block: bytes) -> Suspects:
        """The rules that may speak of a line of the block: never too few."""


class Ready:
    """The exact rules of a catalogue, made ready when they are first needed."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self.progress = CompiledProgress(catalogue.progress)
        self._common: list[Regex] | None = None
        self.rule = lru_cache(maxsize=None)(self._rule)
        self.finder = lru_cache(maxsize=64)(self._finder)

    def _rule(self, index: int) -> CompiledRule:
        """One rule."""
        if self._common is None:
            patterns = self.catalogue.common_facts
            self._common = [check(p, sensitive=False, re2_only=True) for p in patterns]
        return CompiledRule(self.catalogue.rules[index], self._common)

    def _finder(self, rules: frozenset[int]) -> Regex:
        """Finds the next line of a block of which one of the rules may speak."""
        chosen = [self.catalogue.rules[index] for index in sorted(rules)]
        return compile_any((groupless(p), rule.sensitive) for rule in chosen for p in rule.patterns)


class HyperscanEngine:
    """Intel's hyperscan (or its fork vectorscan), in block mode."""

    def __init__(self, catalogue: Catalogue, cache: Path | None = None) -> None:
        self.ready = Ready(catalogue)
        self._owners, expressions = _expressions(catalogue)
        self._database = dbcache.database(expressions, cache)
        self._local = threading.local()

    def suspects(self, block: bytes) -> Suspects:
        """Scans the block once; other Python threads run meanwhile."""
        seen: list[int] = []

        def note(number: int, _start: int, _end: int, _flags: int, _context: object) -> None:
            seen.append(number)

        self._database.scan(block, match_event_handler=note, scratch=self._scratch())
        if not seen:
            return NOTHING
        owners = {self._owners[number] for number in seen}
        return Suspects(frozenset(owners - {_PROGRESS}), _PROGRESS in owners)

    def _scratch(self) -> object:
        """hyperscan's working memory: one for each thread."""
        scratch: object | None = getattr(self._local, "scratch", None)
        if scratch is None:
            scratch = self._local.scratch = dbcache.scratch(self._database)
        return scratch


class Re2Engine:
    """RE2 alone, where hyperscan is not to be had: about a quarter of its speed."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.ready = Ready(catalogue)
        self._all = Suspects(frozenset(range(len(catalogue.rules))), True)
        self._none = Suspects(frozenset(), True)
        self._any = self.ready.finder(self._all.rules) if catalogue.rules else None

    def suspects(self, block: bytes) -> Suspects:
        """All rules or none: the finder costs the same for one as for all."""
        return self._all if self._any and self._any.search(block) else self._none


def compile_engine(catalogue: Catalogue, cache: Path | None = None) -> Engine:
    """The best engine to be had here.

    ``cache`` is a folder for compiled databases, by default the user's own. Raises ConfigError
    with the rule that hyperscan refuses.
    """
    if not dbcache.AVAILABLE or not catalogue.every:
        return Re2Engine(catalogue)
    try:
        return HyperscanEngine(catalogue, cache)
    except dbcache.RefusedError as error:
        raise ConfigError(_culprit(catalogue, str(error))) from None


_PROGRESS = -1


def _expressions(catalogue: Catalogue) -> tuple[list[int], list[Expression]]:
    """hyperscan's expressions, and for each the index of its rule (or ``_PROGRESS``)."""
    owned = [
        (index, Expression(groupless(pattern), rule.sensitive))
        for index, rule in enumerate(catalogue.rules)
        for pattern in rule.patterns
    ]
    owned += [
        (_PROGRESS, Expression(groupless(r.pattern), r.sensitive)) for r in catalogue.progress
    ]
    return [index for index, _ in owned], [expression for _, expression in owned]


def _culprit(catalogue: Catalogue, reason: str) -> str:
    """hyperscan does not say which pattern it refused: ask for each."""
    by_rule = [
        (rule.where, rule.id, pattern) for rule in catalogue.rules for pattern in rule.patterns
    ]
    by_rule += [(rule.where, rule.id, rule.pattern) for rule in catalogue.progress]
    for where, rule_id, pattern in by_rule:
        if why := dbcache.refusal(Expression(groupless(pattern), False)):
            return f"{where}: rule {rule_id}: hyperscan refuses {pattern!r}: {why}"
    return f"hyperscan refuses the catalogue as a whole: {reason}"
