"""Is a node in a list of Slurm's notation? Told without writing the list out.

Lists of thousands of nodes would take seconds in which nothing else happens in the process. Other
work gets its turn between them.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from functools import lru_cache

#: Characters of lists that are looked at in one go.
_TURN = 20_000
#: One part of a list: text with ranges in brackets.
_PART = re.compile(r"(?:[^,\[\]]|\[[^\[\]]*\])+")
_RANGES = re.compile(r"\[([^\[\]]*)\]")
_RANGE = re.compile(r"(\d+)(?:-(\d+))?", re.ASCII)


async def among(lists: Iterable[str], node: str) -> frozenset[str]:
    """Those of the lists that hold the node."""
    there, looked = set(), 0
    for nodes in set(lists):
        if holds(nodes, node):
            there.add(nodes)
        looked += len(nodes)
        if looked > _TURN:
            looked = 0
            await asyncio.sleep(0)
    return frozenset(there)


def holds(nodes: str, node: str) -> bool:
    """Is this node in the list? In one that cannot be read there is none."""
    return any(_is_of(part, node) for part in _PART.findall(nodes))


def _is_of(part: str, node: str) -> bool:
    if "[" not in part:
        return part == node
    form, ranges = _form(part)
    found = form.fullmatch(node)
    return found is not None and all(map(_within, ranges, found.groups()))


@lru_cache(maxsize=1024)
def _form(part: str) -> tuple[re.Pattern[str], tuple[str, ...]]:
    """What the nodes of a part look like, and the ranges of the numbers in it."""
    texts = _RANGES.split(part)
    pattern = "".join(r"(\d+)" if n % 2 else re.escape(text) for n, text in enumerate(texts))
    return re.compile(pattern, re.ASCII), tuple(texts[1::2])


def _within(ranges: str, number: str) -> bool:
    """Numbers of a range that begins with a 0 all have as many digits as it."""
    for low, high in _RANGE.findall(ranges):
        if low == number:
            return True
        padded = len(low) if low[0] == "0" else 0
        if int(low) <= int(number) <= int(high or low) and number == f"{int(number):0{padded}}":
            return True
    return False
