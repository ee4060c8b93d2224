"""The page of one job: what happened, what was decided and why, what was done."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from aiohttp import web

from ajrd.store import overview, queries, rows
from ajrd.store.engine import Database
from ajrd.store.records import JobRecord, SourceRecord
from ajrd.store.rows import Row
from ajrd.web.identity import IDENTITY
from ajrd.web.pages import lanes
from ajrd.web.pages.lanes import Told
from ajrd.web.pages.look import told_of
from ajrd.web.pages.shell import Shell, owner
from ajrd.web.pages.span import Span
from ajrd.web.pages.words import plain
from ajrd.web.pages.workflows import WIDTH

#: Anomalies of an attempt and events that are shown.
EVIDENCE, EVENTS = 12, 200
#: What passed until the work went on, in its order, with what each part is called. Together they
#: are the time from an attempt's start to its successor's first progress (docs/efficiency.md).
PARTS = {
    "queued": "queued",
    "starting": "starting",
    "kept": "work that was kept",
    "lost": "lost work",
    "detection": "detection",
    "kill": "kill",
    "requeue_wait": "requeue wait",
    "restart": "restart",
}
#: Not drawn: waiting in the queue may be longer than all the rest.
_NOT_DRAWN = frozenset({"queued"})


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a stacked bar, from ``x`` over ``width`` percent."""

    name: str
    said: str
    seconds: float
    x: float
    width: float


async def page(shell: Shell, request: web.Request) -> web.Response:
    """``GET /jobs/{jobid}``."""
    return shell.answer(request, "job.html", **await _content(shell, request))


async def part(shell: Shell, request: web.Request) -> web.Response:
    """``GET /fragments/jobs/{jobid}``: what is fetched again when something has happened."""
    return shell.answer(request, "job_part.html", **await _content(shell, request))


async def _content(shell: Shell, request: web.Request) -> dict[str, Any]:
    database, job_id = shell.site.database, request.match_info["jobid"]
    found = await database.all(overview.job(job_id, owner(request)))
    if not found:
        raise web.HTTPNotFound(text=f"There is no job {job_id[:64]}.")
    job = rows.job(found[0])
    told = (await told_of(database, [job.id], EVIDENCE, around=True)).get(job.id, [])
    numbers = [each.attempt.id for each in told]
    events = await database.all(queries.events_of(job.id, EVENTS))
    return {
        "job": job,
        "told": told,
        "lane": _lane(shell, job, told),
        "sources": await _sources(database, numbers),
        "splits": _splits(await database.all(overview.efficiency_of(numbers))),
        "events": [rows.event(row) for row in events],
        "asked_for": await database.all(overview.requests_of(job.id)),
        "may_steer": request[IDENTITY].may_steer(job.user),
        "most": overview.MOST_ATTEMPTS,
        "directive": lanes.directive_text(job.comment),
        "in_chain": lanes.in_chain(job.comment),
        "first_causes": _first_causes(told),
    }


def _first_causes(told: Iterable[Told]) -> str:
    firsts = (each.anomalies[0].anomaly.finding for each in told if each.anomalies)
    return ", ".join(dict.fromkeys(plain(found.cause) for found in firsts))


def _lane(shell: Shell, job: JobRecord, told: Sequence[Told]) -> lanes.Lane:
    """The whole life of the job as one lane."""
    now = shell.now()
    ends = [each.attempt.ended_at or now for each in told]
    end = max(ends, default=now) if lanes.is_over(job) else now
    start = min(job.first_submit_time, end - timedelta(seconds=1))
    margin = (end - start) * 0.02
    span = Span(start - margin, end + margin)
    return lanes.lane(job, told, span, now, WIDTH, shell.site.limits())


async def _sources(database: Database, attempts: Sequence[int]) -> dict[int, list[SourceRecord]]:
    found: dict[int, list[SourceRecord]] = defaultdict(list)
    for row in await database.all(overview.sources_of(attempts)):
        found[row["attempt"]].append(rows.source(row))
    return found


def _splits(records: Iterable[Row]) -> dict[int, list[Part]]:
    return {row["attempt"]: split(row) for row in records}


def split(row: Mapping[str, Any]) -> list[Part]:
    """What the time of an attempt went into, as pieces of one bar."""
    seconds = {name: _seconds(row, name) for name in PARTS}
    whole = sum(value for name, value in seconds.items() if name not in _NOT_DRAWN) or 1.0
    parts, x = [], 0.0
    for name, value in seconds.items():
        width = 0.0 if name in _NOT_DRAWN else 100 * value / whole
        if value > 0:
            parts.append(Part(name, PARTS[name], value, x, width))
        x += width
    return parts


def _seconds(row: Mapping[str, Any], name: str) -> float:
    if name == "kept":
        return max(_seconds(row, "productive") - _seconds(row, "lost"), 0.0)
    return max(float(row[f"{name}_seconds"] or 0), 0.0)
