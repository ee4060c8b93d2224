r"""What Loki is asked for: queries whose line filters let every line pass that could matter. Pure.

Loki reads far more than ajrd wants to see, so the filters are derived from the catalogue: of each
pattern the texts without which it cannot match (:mod:`ajrd.detect.prefilter`), and of those texts
short pieces that many of them share, for Loki tries each piece on each line. Patterns without such
texts go as they are: Loki's regular expressions are RE2's. A filter lets some lines pass in vain
and holds none back that a rule speaks of.
"""

from __future__ import annotations

import functools
import heapq
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ajrd.detect.catalogue import Catalogue
from ajrd.detect.kept import default_folder, keep, recall
from ajrd.detect.pattern import groupless
from ajrd.detect.prefilter import everyday_text, required_texts
from ajrd.detect.rule import Rule
from ajrd.model import Kind

#: Characters of a piece: with fewer it stands in healthy lines, with more it is shared by few.
_SHORTEST, _LONGEST = 6, 9
#: Characters that mean something to a regular expression.
_SPECIAL = re.compile(r"[\\.+*?()|\[\]{}^$]")
#: Parts of words that healthy programs print all the time, beside ``everyday.txt``.
_COMMON = (
    "training segment evaluation location normalize adapter sending pending rating ating resuming "
    "launching docker device compilation from line seconds argument initialized larger smaller "
    "than layer driver status stable mapped number namespace time the worker results does feature "
    "tion to _init metrics reader event_ more threshold expected operation "
)
#: Changes when the same catalogue gets other pieces.
_FORMAT = 1
#: What a kernel or a GPU's driver says of a machine.
_OF_NODES = frozenset({Kind.HARDWARE, Kind.NODE, Kind.NETWORK})


@dataclass(frozen=True, slots=True)
class Filters:
    """Alternatives of regular expressions, for three kinds of questions."""

    suspicious: tuple[str, ...]
    progress: tuple[str, ...]
    nodes: tuple[str, ...]


def filters_of(catalogue: Catalogue, cache: Path | None = None) -> Filters:
    """The filters of a catalogue; kept, for it takes a second or two to find them."""
    place = (cache or default_folder()) / f"{catalogue.digest}-{_FORMAT}.logql"
    kept = recall(place)
    if kept is not None:
        return Filters(*(tuple(each) for each in json.loads(kept)))
    made = Filters(
        alternatives(catalogue.rules),
        tuple(_inline(rule.pattern, rule.sensitive) for rule in catalogue.progress),
        alternatives([rule for rule in catalogue.rules if speaks_of_nodes(rule)]),
    )
    keep(place, json.dumps([made.suspicious, made.progress, made.nodes]).encode())
    return made


def speaks_of_nodes(rule: Rule) -> bool:
    """Does a rule recognise what a node's own log says of the node?"""
    domain = rule.id.partition(".")[0]
    return rule.kind in _OF_NODES or domain in ("kernel", "gpu")


def alternatives(rules: Iterable[Rule]) -> tuple[str, ...]:
    """Expressions, ignoring case, of which one matches every line that a rule speaks of."""
    texts: set[str] = set()
    whole: dict[str, None] = {}
    for rule in rules:
        for pattern in rule.patterns:
            needed = required_texts(groupless(pattern), sensitive=rule.sensitive)
            if needed is None:
                whole[_inline(pattern, rule.sensitive)] = None
            else:
                texts.update(text.lower() for text in needed)
    return (*map(quoted, pieces(sorted(texts))), *whole)


def pieces(texts: Sequence[str]) -> list[str]:
    """Few and short pieces such that each text holds one: greedy set cover."""
    holders = _holders(texts)
    left = set(range(len(texts)))
    heap = [(-_worth(piece, len(found)), piece) for piece, found in holders.items()]
    heapq.heapify(heap)
    chosen: list[str] = []
    while left:
        promised, piece = heapq.heappop(heap)
        worth = -_worth(piece, len(holders[piece] & left))
        if worth > promised:
            heapq.heappush(heap, (worth, piece))
        elif holders[piece] & left:
            chosen.append(piece)
            left -= holders[piece]
    return sorted(chosen)


def _holders(texts: Sequence[str]) -> dict[str, set[int]]:
    """Which texts hold each usable piece; a text without any stands for itself."""
    healthy = f"{everyday_text()}\n{_COMMON}"
    holders: dict[str, set[int]] = defaultdict(set)
    usable: dict[str, bool] = {}
    for number, text in enumerate(texts):
        own = {text}
        for start in range(len(text) - _SHORTEST + 1):
            for end in range(start + _SHORTEST, min(len(text), start + _LONGEST) + 1):
                own.add(text[start:end])
        for piece in own:
            if piece not in usable:
                usable[piece] = piece not in healthy
            if usable[piece] or piece == text:
                holders[piece].add(number)
    return holders


def _worth(piece: str, texts: int) -> float:
    return texts / (len(piece) + 2)


def quoted(text: str) -> str:
    """A text as a regular expression."""
    return _SPECIAL.sub(lambda found: f"\\{found[0]}", text)


def _inline(pattern: str, sensitive: bool) -> str:
    return f"(?{'m' if sensitive else 'im'}:{groupless(pattern)})"


def literal(text: str) -> str:
    """A text as LogQL writes it: as Go does, in backquotes if it can stand there unchanged."""
    if "`" not in text and text.isprintable():
        return f"`{text}`"
    return json.dumps(text, ensure_ascii=False)


@functools.lru_cache(maxsize=256)
def queries(selector: str, alternatives: tuple[str, ...], longest: int) -> tuple[str, ...]:
    """The selection in as many queries as it takes for none to be over ``longest`` characters.

    One alternative that is longer has a query of its own. No alternatives are no queries.
    """
    shards: list[list[str]] = []
    size = longest
    for alternative in map(_unquotable, alternatives):
        size += len(alternative) + 1
        if size > longest:
            shards.append([])
            size = len(_query(selector, [alternative]))
        shards[-1].append(alternative)
    return tuple(_query(selector, shard) for shard in shards)


def _unquotable(alternative: str) -> str:
    """Without backquotes, so that it can stand between them."""
    return alternative.replace(r"\`", "`").replace("`", r"\x60")


def _query(selector: str, alternatives: Sequence[str]) -> str:
    return f"{selector} |~ {literal('(?i)' + '|'.join(alternatives))}"


def narrowed(selector: str, label: str, value: str) -> str:
    """The entries of a selection with a value in a label or in their structured metadata."""
    return f"{selector} | {label}={literal(value)}"
