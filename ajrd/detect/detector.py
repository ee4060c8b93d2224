"""What stands in one log: feeds on blocks of lines, and tells anomalies and progress.

A block without suspects costs one scan and one count of its newlines; nothing in Python happens
for each line. A detector belongs to one file and remembers a few lines for context and how
often each rule has spoken.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from ajrd.detect.compiled import CompiledProgress, CompiledRule, Hit
from ajrd.detect.engine import Engine, Suspects
from ajrd.detect.findings import Findings
from ajrd.detect.shown import beside, clean, stretch
from ajrd.model import Finding, Progress

#: Findings of one rule in one file that are told one by one.
CAP = 32
#: Lines shown before and after a finding.
CONTEXT = 3
_CONTEXT_BYTES = 8192
_PROGRESS_SHOWN = 256
#: Blocks that a patient detector keeps of a rule at its cap.
_REMEMBERED = 3
#: Bytes at the end of a block that are looked at first for what is newest.
_WINDOW = 16384


@dataclass(slots=True)
class _Tally:
    """How often a rule has spoken in this file, and where it was told last."""

    told: int = 0
    last: int = -1


@dataclass(frozen=True, slots=True)
class _Line:
    """A line of the block: its bytes are ``block[start:end]``, without the newline."""

    start: int
    end: int


@dataclass(slots=True)
class _Block:
    """Consecutive bytes of a file; the line count is carried on from line to line."""

    text: bytes
    offset: int
    line_no: int
    _counted_to: int = 0

    def line_at(self, place: int) -> _Line:
        """The line that holds the byte at ``place``."""
        end = self.text.find(b"\n", place)
        start = self.text.rfind(b"\n", 0, place) + 1
        return _Line(start, len(self.text) if end < 0 else end)

    def number(self, line: _Line) -> int:
        """The 1-based number of a line; cheapest when asked in order."""
        if line.start < self._counted_to:
            return self.line_no - self.text.count(b"\n", line.start, self._counted_to) + 1
        self.line_no += self.text.count(b"\n", self._counted_to, line.start)
        self._counted_to = line.start
        return self.line_no + 1


@dataclass(frozen=True, slots=True)
class _Unread:
    """A block in which a rule at its cap may speak, and the lines before it."""

    block: _Block
    before: tuple[bytes, ...]


class Detector:
    """Looks at one file, block after block.

    After ``cap`` findings of one rule its further ones are not told; yet when progress has
    answered the last one told, the newest one of the next block is told again, for it may be
    the one that the run did not survive.

    A ``patient`` detector is one whose caller wants a verdict at the end and no news before: it
    looks for progress only where there is something to be answered, and what rules at their cap
    have to say is told by :meth:`finish`. Without ``context`` no neighbouring lines are told.
    """

    def __init__(
        self,
        engine: Engine,
        own_progress: CompiledProgress | None = None,
        *,
        patient: bool = False,
        context: bool = True,
        cap: int = CAP,
    ) -> None:
        self._engine = engine
        self._own_progress = own_progress
        self._patient = patient
        self._context = context
        self._cap = cap
        self._tallies: dict[int, _Tally] = {}
        self._suppressed: Counter[str] = Counter()
        self._progress_at = -1
        self._before: tuple[bytes, ...] = ()
        self._unread: dict[int, deque[_Unread]] = {}

    @property
    def suppressed(self) -> Mapping[str, int]:
        """For each rule at its cap, the blocks in which it had more to say than was told."""
        return self._suppressed

    def feed(self, block: bytes, offset: int, line_no: int, *, asked: bool = True) -> Findings:
        """Judges the next block of the file: complete lines, at most 1 MiB.

        ``offset`` is the byte offset of the block, ``line_no`` the number of lines before it.
        A patient detector must be ``asked`` for progress where it has found nothing itself.
        """
        suspects = self._engine.suspects(block)
        progress = None
        if asked or suspects or self._unread or not self._patient:
            progress = self._newest_progress(block, offset, line_no)
        if progress is not None:
            self._progress_at = progress.offset
        found: list[Finding] = []
        if suspects:
            found = self._judge(_Block(block, offset, line_no), suspects)
        self._before = (*self._before, *_last_lines(block, len(block)))[-CONTEXT:]
        return Findings(tuple(found), progress, block.count(b"\n"))

    def finish(self) -> tuple[Finding, ...]:
        """What rules at their cap have said last, if progress has answered all they told before."""
        found: list[Finding] = []
        for index, blocks in self._unread.items():
            if self._progress_at > self._tally(index).last:
                newest = (self._newest(each, index) for each in reversed(blocks))
                found += [finding for finding in newest if finding is not None][:1]
        return tuple(sorted(found, key=lambda finding: finding.offset))

    @property
    def progress_at(self) -> int:
        """The offset of the newest progress that was looked for; -1: none."""
        return self._progress_at

    def _judge(self, block: _Block, suspects: Suspects) -> list[Finding]:
        rules = suspects.crowded or frozenset(index for _, index in suspects.places)
        full = frozenset(index for index in rules if self._tally(index).told >= self._cap)
        if suspects.crowded:
            found = list(self._tell_all(block, rules - full))
        else:
            found = list(self._tell_places(block, suspects.places, full))
        for index in full:
            found += self._hear_out(_Unread(block, self._before), index)
        return sorted(found, key=lambda finding: finding.offset)

    def _hear_out(self, unread: _Unread, index: int) -> Iterator[Finding]:
        """A rule at its cap: its newest line now, if it is news, or later."""
        self._suppressed[self._rule(index).rule.id] += 1
        if self._patient:
            self._unread.setdefault(index, deque(maxlen=_REMEMBERED)).append(unread)
        elif self._progress_at > self._tally(index).last:
            finding = self._newest(unread, index)
            if finding is not None:
                yield finding

    def _tell_places(
        self, block: _Block, places: tuple[tuple[int, int], ...], full: frozenset[int]
    ) -> Iterator[Finding]:
        """Each rule on the lines in which it may speak, until it has spoken too often."""
        lines: dict[int, tuple[_Line, set[int]]] = {}
        line = _Line(0, -1)
        for place, index in places if not full else (p for p in places if p[1] not in full):
            if place > line.end:
                line = block.line_at(place)
            lines.setdefault(line.start, (line, set()))[1].add(index)
        for line, rules in lines.values():
            yield from self._tell_line(block, line, rules)

    def _tell_line(self, block: _Block, line: _Line, rules: Iterable[int]) -> Iterator[Finding]:
        for index in sorted(rules):
            if self._tally(index).told >= self._cap:
                continue
            if hit := self._rule(index).hit(block.text[line.start : line.end]):
                yield self._tell(index, hit, block, line, self._before)

    def _tell_all(self, block: _Block, rules: frozenset[int]) -> Iterator[Finding]:
        """Every line of which a rule speaks, until the rule has spoken too often."""
        place = 0
        while rules and (line := self._next_line(block, place, rules)) is not None:
            place = line.end + 1
            yield from self._tell_line(block, line, rules)
            rules = frozenset(index for index in rules if self._tally(index).told < self._cap)

    def _newest(self, unread: _Unread, index: int) -> Finding | None:
        """The last line of the block of which the rule speaks."""
        block = unread.block
        window, end = _WINDOW, len(block.text)
        while end:
            start = block.text.rfind(b"\n", 0, max(end - window, 0)) + 1
            hits = list(self._hits(block, index, start, end))
            if hits:
                hit, line = hits[-1]
                return self._tell(index, hit, block, line, unread.before)
            window, end = window * 4, start
        return None

    def _hits(self, block: _Block, index: int, start: int, end: int) -> Iterator[tuple[Hit, _Line]]:
        rules = frozenset((index,))
        while (line := self._next_line(block, start, rules)) is not None and line.start < end:
            start = line.end + 1
            if hit := self._rule(index).hit(block.text[line.start : line.end]):
                yield hit, line

    def _next_line(self, block: _Block, place: int, rules: frozenset[int]) -> _Line | None:
        """The first line from ``place`` on of which one of the rules may speak."""
        if place >= len(block.text):
            return None
        match = self._engine.ready.finder(rules).search(block.text, place)
        return block.line_at(match.start()) if match is not None else None

    def _rule(self, index: int) -> CompiledRule:
        return self._engine.ready.rule(index)

    def _tally(self, index: int) -> _Tally:
        return self._tallies.setdefault(index, _Tally())

    def _tell(
        self, index: int, hit: Hit, block: _Block, line: _Line, before: tuple[bytes, ...]
    ) -> Finding:
        tally, compiled = self._tally(index), self._rule(index)
        tally.told, tally.last = tally.told + 1, block.offset + line.start
        piece = block.text[line.start + hit.start : line.start + hit.end]
        above, below = self._around(block.text, line, before) if self._context else ((), ())
        rule = compiled.rule
        return Finding(
            rule=rule.id,
            kind=rule.kind,
            cause=rule.cause,
            role=rule.role,
            recovery=rule.recovery,
            offset=block.offset + line.start,
            line_no=block.number(line),
            text=stretch(piece, hit.match - hit.start),
            before=above,
            after=below,
            facts={name: clean(value) for name, value in compiled.facts(piece).items()},
        )

    @staticmethod
    def _around(
        text: bytes, line: _Line, before: tuple[bytes, ...]
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        above = (*before, *_last_lines(text, line.start))[-CONTEXT:]
        below = _next_lines(text, line.end + 1)
        return tuple(map(beside, above)), tuple(map(beside, below))

    def _newest_progress(self, text: bytes, offset: int, line_no: int) -> Progress | None:
        """By the catalogue's forms of progress and by the owner's, if there is one."""
        newest: tuple[int, CompiledProgress] | None = None
        for forms, may_hold in self._forms():
            place = forms.newest(text, may_hold)
            if place is not None and (newest is None or place > newest[0]):
                newest = place, forms
        return _progress(_Block(text, offset, line_no), *newest) if newest else None

    def _forms(self) -> Iterator[tuple[CompiledProgress, Callable[[bytes], bool]]]:
        yield self._engine.ready.progress, self._engine.may_progress
        if self._own_progress is not None:
            yield self._own_progress, lambda _block: True


def _progress(block: _Block, place: int, forms: CompiledProgress) -> Progress:
    """The progress that ends at ``place``; of an overwritten line the piece that holds it."""
    text, line = block.text, block.line_at(place)
    start = max(line.start, text.rfind(b"\r", line.start, place) + 1)
    end = text.find(b"\r", place, line.end)
    piece = text[start : line.end if end < 0 else end]
    shown = stretch(piece, place - start, _PROGRESS_SHOWN)
    return Progress(block.offset + line.start, block.number(line), shown, forms.step(piece))


def _last_lines(block: bytes, end: int) -> tuple[bytes, ...]:
    """The last few lines of ``block[:end]``, without newlines."""
    lines: list[bytes] = []
    stop = max(end - _CONTEXT_BYTES, 0)
    while end > stop and len(lines) < CONTEXT:
        line_end = end - 1 if block[end - 1] == 10 else end
        start = block.rfind(b"\n", 0, line_end) + 1
        lines.append(block[max(start, line_end - _CONTEXT_BYTES) : line_end])
        end = start
    return tuple(reversed(lines))


def _next_lines(block: bytes, start: int) -> list[bytes]:
    lines: list[bytes] = []
    while start < len(block) and len(lines) < CONTEXT:
        end = block.find(b"\n", start)
        end = len(block) if end < 0 else end
        lines.append(block[start:end])
        start = end + 1
    return lines
