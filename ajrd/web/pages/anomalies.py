"""What breaks most, by cause, week by week."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aiohttp import web

from ajrd.store import overview, rows
from ajrd.store.rows import Row, column
from ajrd.web.pages.shell import Shell, owner
from ajrd.web.pages.weeks import spark, week_starts

#: Anomalies in the list.
LISTED = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """A cause over the weeks: attempts that it was a root in; ``points`` is their line."""

    kind: str
    cause: str
    weeks: Sequence[int]
    total: int
    last: datetime
    points: str


async def page(shell: Shell, request: web.Request) -> web.Response:
    """``GET /anomalies``, of one kind or cause alone if ``kind`` or ``cause`` say so."""
    starts, who = week_starts(shell.now()), owner(request)
    kind, cause = (request.query.get(name, "").strip()[:64] for name in ("kind", "cause"))
    found = await shell.site.database.all(overview.causes_by_week(starts, who))
    newest = overview.newest_anomalies(starts[0], who, kind, cause, LISTED)
    listed = [_listed(row) for row in await shell.site.database.all(newest)]
    made = trends(found, len(starts))
    return shell.answer(
        request,
        "anomalies.html",
        starts=starts,
        trends=made,
        most=max((trend.total for trend in made), default=1),
        listed=listed,
        kind=kind,
        cause=cause,
    )


def trends(found: Iterable[Row], weeks: int) -> list[Trend]:
    """What breaks most comes first."""
    counts: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0] * weeks)
    last: dict[tuple[str, str], datetime] = {}
    for row in found:
        key, at = (row["kind"], row["cause"]), column(row, "at")
        counts[key][int(row["week"])] += int(row["attempts"])
        last[key] = max(last.get(key, at), at)
    made = [
        Trend(
            kind=key[0],
            cause=key[1],
            weeks=its,
            total=sum(its),
            last=last[key],
            points=spark(its),
        )
        for key, its in counts.items()
    ]
    return sorted(made, key=lambda trend: (-trend.total, trend.cause))


def _listed(row: Row) -> dict[str, Any]:
    job = {name: row[name] for name in ("job_id", "name", "user", "idx")}
    return {**job, "record": rows.anomaly(row)}
