"""Rules made ready for lines: which piece of a line a rule speaks of, and the facts in it.

A line that a progress bar has overwritten many times is one line to the file system, with
carriage returns in it. Each piece between them is judged by itself, so that neither the bar's
text vetoes a crash glued to it nor is shown in its place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ajrd.detect.pattern import LITTLE_MEMORY, Match, Regex, check, compile_any, groupless
from ajrd.detect.rule import ProgressRule, Rule

_LONGEST_FACT = 200
#: Lines at the end of a block that are tried for progress one by one.
_LAST_LINES = 16


@dataclass(frozen=True, slots=True)
class Hit:
    """``line[start:end]`` is the piece that was hit; the match in it begins at ``match``."""

    start: int
    end: int
    match: int


class CompiledRule:
    """One rule and its regular expressions."""

    __slots__ = ("_any", "_facts", "_vetoes", "rule")

    def __init__(
        self, rule: Rule, common_facts: Iterable[Regex] = (), common_veto: Regex | None = None
    ) -> None:
        self.rule = rule
        self._any = compile_any((groupless(p), rule.sensitive) for p in rule.patterns)
        own_veto = [(groupless(pattern), rule.sensitive) for pattern in rule.exclusions]
        vetoes = (compile_any(own_veto) if own_veto else None, common_veto)
        self._vetoes = [veto for veto in vetoes if veto is not None]
        named = [pattern for pattern in rule.patterns if "(?P<" in pattern]
        own = [check(p, sensitive=rule.sensitive, re2_only=True) for p in (*named, *rule.facts)]
        self._facts = (*own, *common_facts)

    def hit(self, line: bytes) -> Hit | None:
        """The first piece of the line (without its newline) that the rule speaks of."""
        if not self.matches(line):
            return None
        start = 0
        for piece in line.split(b"\r"):
            match = self._any.search(piece)
            if match is not None and not any(veto.search(piece) for veto in self._vetoes):
                return Hit(start, start + len(piece), start + match.start())
            start += len(piece) + 1
        return None

    def matches(self, line: bytes) -> bool:
        """Does a pattern match, whatever the exclusions say?"""
        return self._any.search(line) is not None

    def facts(self, piece: bytes) -> dict[str, bytes]:
        """What the named groups say; of several patterns that give a name the first counts."""
        return read_facts(self._facts, piece)


def read_facts(regexes: Iterable[Regex], piece: bytes) -> dict[str, bytes]:
    """The named groups of every pattern that matches."""
    facts: dict[str, bytes] = {}
    for regex in regexes:
        match = regex.search(piece)
        for group, value in match.groupdict().items() if match else ():
            name = group.decode("ascii")
            if value and name not in facts:
                facts[name] = value[:_LONGEST_FACT]
    return facts


class CompiledProgress:
    """All progress rules in one alternation, and each by itself for its step."""

    __slots__ = ("_any", "_each")

    def __init__(self, rules: Iterable[ProgressRule]) -> None:
        pairs = [(rule.pattern, rule.sensitive) for rule in rules]
        self._each = [check(pattern, sensitive=case) for pattern, case in pairs]
        self._any = compile_any((groupless(p), case) for p, case in pairs) if pairs else None

    @classmethod
    def of_owner(cls, pattern: str) -> CompiledProgress:
        """The progress pattern of a directive; raises PatternError."""
        made = cls(())
        made._any = check(pattern, sensitive=False, re2_only=True, memory=LITTLE_MEMORY)
        made._each = [made._any]
        return made

    def newest(self, block: bytes, may_hold: Callable[[bytes], bool]) -> int | None:
        """The last byte of the last progress in a block of lines, searched from its end.

        The last lines are tried one by one, so a block full of progress costs next to nothing.
        Before all of the block is searched, ``may_hold`` is asked whether it is worth it.
        """
        if self._any is None:
            return None
        end = len(block)
        for _ in range(_LAST_LINES):
            start = block.rfind(b"\n", 0, max(end - 1, 0)) + 1
            if (match := _last(self._any.finditer(block[start:end]))) is not None:
                return start + match.end() - 1
            if start == 0:
                return None
            end = start
        if not may_hold(block[:end]):
            return None
        found = _last(m for m in self._any.finditer(block, 0, end) if _in_line(m, block))
        return None if found is None else found.end() - 1

    def step(self, piece: bytes) -> int | None:
        """The highest step that a pattern reads in the piece."""
        steps = [_number(read_facts([regex], piece).get("step")) for regex in self._each]
        return max((step for step in steps if step is not None), default=None)


def _last(matches: Iterable[Match]) -> Match | None:
    last = None
    for match in matches:
        last = match
    return last


def _in_line(match: Match, block: bytes) -> bool:
    return block.find(b"\n", match.start(), match.end()) < 0


def _number(digits: bytes | None) -> int | None:
    return int(digits) if digits and digits.isdigit() and len(digits) < 16 else None
