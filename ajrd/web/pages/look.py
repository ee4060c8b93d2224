"""The jobs of a page with all that is told of them, in a fixed number of questions."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from ajrd.store import overview, rows
from ajrd.store.engine import Database
from ajrd.store.overview import Seek
from ajrd.store.queries import Query
from ajrd.store.records import ActionRecord, AnomalyRecord, DecisionRecord, JobRecord
from ajrd.web.nodelist import among
from ajrd.web.pages.lanes import Outcome, Told

#: Lanes of one page, and pages that may be asked for.
LANES, PAGES = 50, 40
#: Anomalies of an attempt that a timeline tells of.
SPOTS = 8
#: Jobs that are looked through for a node: the database knows lists of nodes only.
CANDIDATES = 400
_NODE = re.compile(r"([A-Za-z][\w.-]*?)\d+")


@dataclass(frozen=True, slots=True)
class Found:
    """Jobs in the order of their lanes; ``more``: there are further ones."""

    jobs: Sequence[JobRecord]
    more: bool


async def find_jobs(database: Database, seek: Seek, page: int) -> Found:
    """The jobs of one page, counted from 1: those that are not over first."""
    node = _NODE.fullmatch(seek.words)
    if node is not None:
        return await _on_node(database, replace(seek, stem=node[1]))
    skip = LANES * (page - 1)
    wanted = skip + LANES + 1
    jobs = await _jobs(database, overview.timeline_jobs(seek, wanted, closed=False))
    if len(jobs) < wanted:
        jobs += await _jobs(database, overview.timeline_jobs(seek, wanted, closed=True))
    return Found(jobs[skip : skip + LANES], len(jobs) > skip + LANES)


async def _on_node(database: Database, seek: Seek) -> Found:
    jobs = await _jobs(database, overview.timeline_jobs(seek, CANDIDATES, closed=False))
    jobs += await _jobs(database, overview.timeline_jobs(seek, CANDIDATES, closed=True))
    ran = await database.all(overview.nodes_of([job.id for job in jobs], seek.stem))
    lists = await among((row["nodes"] for row in ran), seek.words)
    there = {row["job"] for row in ran if row["nodes"] in lists}
    found = [job for job in jobs if job.id in there or _named(job, seek.words)]
    return Found(found[:LANES], len(found) > LANES)


def _named(job: JobRecord, words: str) -> bool:
    return job.job_id == words or words in job.name or words in job.user


async def _jobs(database: Database, query: Query) -> list[JobRecord]:
    return [rows.job(row) for row in await database.all(query)]


async def told_of(
    database: Database, jobs: Iterable[int], each: int = SPOTS, *, around: bool = False
) -> Mapping[int, list[Told]]:
    """The attempts of some jobs in their order, with ``each`` anomalies at most of every one.

    ``around``: with the lines around them.
    """
    found = await database.all(overview.attempts_of(list(jobs)))
    numbers = [row["id"] for row in found]
    decisions = await _decisions(database, numbers)
    asked = overview.anomalies_of(numbers, each, around=around)
    anomalies, totals = await _anomalies(database, asked)
    told: dict[int, list[Told]] = defaultdict(list)
    for row in reversed(found):
        number = row["id"]
        told[row["job"]].append(
            Told(
                attempt=rows.attempt(row),
                outcome=Outcome(row["outcome"]),
                decision=decisions.get(number),
                anomalies=anomalies.get(number, ()),
                total=totals.get(number, 0),
            )
        )
    return told


async def _decisions(database: Database, attempts: Sequence[int]) -> dict[int, DecisionRecord]:
    found = await database.all(overview.decisions_on(attempts))
    actions: dict[int, list[ActionRecord]] = defaultdict(list)
    for row in await database.all(overview.actions_of([row["id"] for row in found])):
        actions[row["decision"]].append(rows.action(row))
    return {row["attempt"]: rows.decision(row, tuple(actions[row["id"]])) for row in found}


async def _anomalies(
    database: Database, query: Query
) -> tuple[dict[int, list[AnomalyRecord]], dict[int, int]]:
    found: dict[int, list[AnomalyRecord]] = defaultdict(list)
    totals: dict[int, int] = {}
    for row in await database.all(query):
        found[row["attempt"]].append(rows.anomaly(row))
        totals[row["attempt"]] = row["total"]
    return found, totals
