"""What the doctor found, as lines for people and as a document for programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from ajrd import __version__
from ajrd.doctor.check import Finding, Level, Verdict
from ajrd.text import printable

_SHADES = {Level.OK: "32", Level.WARN: "33", Level.FAIL: "31", Level.SKIP: "2"}
#: Characters of the longest name of a check.
_WIDTH = 16


def as_lines(verdicts: Sequence[Verdict], colours: bool) -> Iterator[str]:
    """A heading for each group, a line for each check, below it the command that mends it."""
    group = None
    for each in verdicts:
        if each.check.group is not group:
            group = each.check.group
            yield f"\x1b[1m{group.value}\x1b[0m" if colours else group.value
        yield from _lines(each, colours)
    yield counted(verdicts)


def counted(verdicts: Sequence[Verdict]) -> str:
    """How many of each level."""
    counts = Counter(each.finding.level for each in verdicts)
    return ", ".join(f"{counts[level]} {level.value}" for level in Level)


def _lines(each: Verdict, colours: bool) -> Iterator[str]:
    level, finding = each.finding.level, each.finding
    word = f"{level.value:<4}"
    word = f"\x1b[{_SHADES[level]}m{word}\x1b[0m" if colours else word
    yield f"  {word}  {each.check.name:<{_WIDTH}}  {printable(_told(finding))}"
    if finding.mend:
        yield f"        {'':<{_WIDTH}}  -> {printable(finding.mend)}"


def _told(finding: Finding) -> str:
    return f"{finding.found}; {finding.detail}" if finding.detail else finding.found


def as_document(verdicts: Sequence[Verdict], *, details: bool = True) -> dict[str, Any]:
    """The same for programs; without ``details`` nobody is named in it."""
    counts = Counter(each.finding.level for each in verdicts)
    return {
        "ajrd": __version__,
        "counts": {level.value: counts[level] for level in Level},
        "checks": [
            {
                "name": each.check.name,
                "group": each.check.group.value,
                "looked_at": each.check.about,
                "level": each.finding.level.value,
                "found": printable(_told(each.finding) if details else each.finding.found),
                "mend": printable(each.finding.mend),
            }
            for each in verdicts
        ],
    }
