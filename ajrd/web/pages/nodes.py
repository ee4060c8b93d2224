"""Which nodes are suspected or named in evidence, day by day."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aiohttp import web

from ajrd.store import overview
from ajrd.store.rows import Row, column
from ajrd.web.pages.shell import Shell, owner
from ajrd.web.pages.weeks import day_starts, level

#: Days of the heat strip, nodes in it, and rows of the list.
DAYS, NODES, LISTED = 14, 60, 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A node that an attempt's decision suspects, or that its evidence names alone."""

    node: str
    attempt: int
    idx: int
    job_id: str
    name: str
    user: str
    kind: str
    cause: str
    at: datetime
    suspected: bool
    excluded: bool = False
    verdict: str = ""


@dataclass(frozen=True, slots=True)
class Strip:
    """A node over the days: failures of each day with the level they are shown at."""

    node: str
    days: Sequence[tuple[int, int]]
    total: int
    causes: Sequence[tuple[str, int]]
    excluded: int


async def page(shell: Shell, request: web.Request) -> web.Response:
    """``GET /nodes``."""
    days = day_starts(shell.now(), DAYS)
    database, who = shell.site.database, owner(request)
    suspected = await database.all(overview.suspicions(days[0], who))
    named = await database.all(overview.node_anomalies(days[0], who))
    wanted = request.query.get("node", "").strip()[:255]
    found = [each for each in failures(suspected, named) if not wanted or each.node == wanted]
    return shell.answer(
        request,
        "nodes.html",
        days=days,
        strips=strips(found, days)[:NODES],
        failures=found[:LISTED],
        total=len(found),
        wanted=wanted,
        cut=max(len(suspected), len(named)) >= overview.MOST_FACTS,
    )


def failures(suspected: Iterable[Row], named: Iterable[Row]) -> list[Failure]:
    """One for each node of each attempt, the newest first; a suspicion tells more than a line."""
    found: dict[tuple[int, str], Failure] = {}
    for each in _named(named):
        found.setdefault((each.attempt, each.node), each)
    for each in _suspected(suspected):
        found[each.attempt, each.node] = each
    return sorted(found.values(), key=lambda each: each.at, reverse=True)


def _suspected(found: Iterable[Row]) -> Iterator[Failure]:
    for row in found:
        yield Failure(
            node=row["node"],
            at=column(row, "at"),
            suspected=True,
            excluded=bool(row["excluded"]),
            verdict=row["verdict"],
            **_common(row),
        )


def _named(found: Iterable[Row]) -> Iterator[Failure]:
    for row in found:
        node = column(row, "facts").get("node", "").split(".", 1)[0]
        if node:
            at = column(row, "detected_at")
            yield Failure(node=node, at=at, suspected=False, **_common(row))


def _common(row: Row) -> dict[str, Any]:
    return {
        name: row[name] for name in ("attempt", "idx", "job_id", "name", "user", "kind", "cause")
    }


def strips(found: Iterable[Failure], days: Sequence[datetime]) -> list[Strip]:
    """The worst node first."""
    by_node: dict[str, list[Failure]] = defaultdict(list)
    for each in found:
        by_node[each.node].append(each)
    made = [_strip(node, its, days) for node, its in by_node.items()]
    return sorted(made, key=lambda strip: (-strip.total, strip.node))


def _strip(node: str, found: Sequence[Failure], days: Sequence[datetime]) -> Strip:
    counts = Counter(sum(each.at >= day for day in days) - 1 for each in found)
    causes = Counter(each.cause for each in found).most_common(3)
    return Strip(
        node=node,
        days=[(counts[day], level(counts[day])) for day in range(len(days))],
        total=len(found),
        causes=causes,
        excluded=sum(each.excluded for each in found),
    )
