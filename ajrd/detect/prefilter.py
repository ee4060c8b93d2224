r"""Which texts must stand in a line before a pattern can match it? Pure.

hyperscan is quickest at looking for plain texts; a pattern such as ``rank \d+.{0,40}fault`` wakes
its automaton at every ``rank`` of a healthy log. So it is given, where there is one, a set of texts
of which every match holds at least one, and RE2 judges the lines that they stand in. The idea is
that of Russ Cox, "Regular Expression Matching with a Trigram Index" (2012).
"""

from __future__ import annotations

import functools
import itertools
import re
import re._constants as sre  # type: ignore[import-not-found]
import re._parser as parser  # type: ignore[import-not-found]
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

#: Texts that a piece of a pattern may stand for, characters of one, and texts for a whole pattern.
_MOST, _LONGEST, _MOST_NEEDED = 40, 40, 48
#: Characters of a text that is rare enough: in all, and of words that are not everyday ones.
_RARE, _OWN = 6, 3
#: What healthy logs are full of: such a word alone makes no text rare.
_EVERYDAY = re.compile(
    r"connection|exception|iteration|attention|warning|timeout|process|aborted|failed|killed|"
    r"loading|signal|memory|failure|errors?|loss|nccl|cuda|rank|node|step|info|file|time|job|gpu"
)

Texts = frozenset[str]


@dataclass(frozen=True, slots=True)
class _Known:
    """``exact``: all that a piece can match, if that is little; ``need``: one of it must stand."""

    exact: Texts | None = None
    need: Texts | None = None


_NOTHING = _Known(frozenset({""}))
_ANYTHING = _Known()


def required_texts(pattern: str, *, sensitive: bool) -> Texts | None:
    """Texts of which a match holds at least one; None if none are known that are rare enough.

    In lower case unless ``sensitive``. Errs only by None.
    """
    if "[[:" in pattern:  # a class of RE2 that Python reads as something else
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            known = _sequence(parser.parse(pattern))
    except (re.error, FutureWarning, RecursionError):
        return None
    texts = _better(known.need, known.exact)
    if texts is None or not _rare(texts):
        return None
    return texts if sensitive else frozenset(text.lower() for text in texts)


def _sequence(nodes: Iterable[tuple[Any, Any]]) -> _Known:
    exact: Texts = frozenset({""})
    need: Texts | None = None
    whole = True
    for node in nodes:
        known = _node(*node)
        joined = _joined(exact, known.exact)
        if joined is not None:
            exact = joined
            continue
        whole = False
        need = _better(_better(need, exact), known.need)
        exact = known.exact or frozenset({""})
    return _Known(exact if whole else None, _better(need, exact))


def _node(kind: Any, value: Any) -> _Known:
    if kind is sre.LITERAL:
        return _Known(frozenset({chr(value)}))
    if kind is sre.AT:
        return _NOTHING
    if kind is sre.SUBPATTERN:
        return _sequence(value[3])
    if kind is sre.BRANCH:
        return _branches([_sequence(branch) for branch in value[1]])
    if kind is sre.IN:
        return _one_of(value)
    if kind in (sre.MAX_REPEAT, sre.MIN_REPEAT):
        return _repeated(*value)
    return _ANYTHING


def _branches(branches: list[_Known]) -> _Known:
    exact = _union([known.exact for known in branches], _MOST)
    needs = [_better(known.need, known.exact) for known in branches]
    return _Known(exact, _union(needs, _MOST_NEEDED))


def _one_of(members: list[tuple[Any, Any]]) -> _Known:
    if len(members) > 4 or any(kind is not sre.LITERAL for kind, _ in members):
        return _ANYTHING
    return _Known(frozenset(chr(value) for _, value in members))


def _repeated(least: int, most: int, nodes: Iterable[tuple[Any, Any]]) -> _Known:
    known = _sequence(nodes)
    if (least, most) == (1, 1):
        return known
    if least == 0:
        optional = most == 1 and known.exact is not None
        return _Known(known.exact | {""}) if optional and known.exact else _ANYTHING
    return _Known(None, _better(known.need, known.exact))


def _joined(heads: Texts, tails: Texts | None) -> Texts | None:
    if tails is None or len(heads) * len(tails) > _MOST:
        return None
    joined = frozenset(head + tail for head, tail in itertools.product(heads, tails))
    return joined if max(map(len, joined)) <= _LONGEST else None


def _union(sets: list[Texts | None], most: int) -> Texts | None:
    if any(texts is None for texts in sets):
        return None
    union = frozenset(itertools.chain.from_iterable(texts for texts in sets if texts))
    return union if len(union) <= most else None


def _better(first: Texts | None, second: Texts | None) -> Texts | None:
    """Rare ones before others, then few before many, then long before short."""
    if first is None or second is None:
        return first if second is None else second
    return max((first, second), key=_worth)


def _worth(texts: Texts) -> tuple[bool, int, int]:
    shortest = min((len(text) for text in texts), default=0)
    return _rare(texts), -len(texts), shortest


def _rare(texts: Texts) -> bool:
    return all(_is_rare(text.lower()) for text in texts)


def _is_rare(text: str) -> bool:
    own = "".join(_EVERYDAY.sub("", text).split())
    long = len(own) >= _OWN and len("".join(text.split())) >= _RARE
    return long and text not in everyday_text()


@functools.cache
def everyday_text() -> str:
    """What healthy logs are full of (``ajrd/rules/everyday.txt``), in lower case."""
    return (Path(__file__).resolve().parent.parent / "rules" / "everyday.txt").read_text().lower()
