"""The reading side of the API: lists, the story of a job, the service."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from ajrd.store import listing, queries, rows
from ajrd.store.listing import Listing
from ajrd.web import models, wanted
from ajrd.web.answer import json_response
from ajrd.web.identity import IDENTITY, Identity
from ajrd.web.paging import Wanted, read
from ajrd.web.problem import not_found
from ajrd.web.routes import PREFIX, Operation
from ajrd.web.site import SITE, Site, told_to
from ajrd.web.story import tell

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

#: (name, what it is a list of, the store's list, a row of it, what may be asked for).
_LISTS: tuple[tuple[str, str, Listing, type[models.Answer], type[wanted.Paged]], ...] = (
    ("jobs", "Jobs, newest first", listing.JOBS, models.Job, wanted.JobsWanted),
    ("attempts", "Attempts, newest first", listing.ATTEMPTS, models.Attempt,
     wanted.AttemptsWanted),
    ("anomalies", "Anomalies, newest first", listing.ANOMALIES, models.Anomaly,
     wanted.AnomaliesWanted),
    ("decisions", "Decisions, newest first", listing.DECISIONS, models.Decision,
     wanted.DecisionsWanted),
    ("events", "The audit trail, newest first", listing.EVENTS, models.Event,
     wanted.EventsWanted),
    ("efficiency", "Where the time of attempts has gone, newest first", listing.EFFICIENCY,
     models.Efficiency, wanted.EfficiencyWanted),
    ("nodes", "Nodes under suspicion, newest first", listing.SUSPICIONS, models.Suspicion,
     wanted.SuspicionsWanted),
)  # fmt: skip


def operations() -> list[Operation]:
    """What can be read."""
    lists = [
        Operation(
            name=name,
            method="GET",
            path=f"{PREFIX}/{name}",
            summary=summary,
            handler=_list(each, row, query),
            answer=models.Page[row],  # type: ignore[valid-type]
            query=query,
            problems=(400,),
        )
        for name, summary, each, row, query in _LISTS
    ]
    story = Operation(
        name="job",
        method="GET",
        path=f"{PREFIX}/jobs/{{jobid}}",
        summary="The whole story of the newest job with this id",
        handler=_job,
        answer=models.JobStory,
        problems=(404,),
    )
    service = Operation(
        name="service",
        method="GET",
        path=f"{PREFIX}/service",
        summary="How the process does that answers",
        handler=_service,
        answer=models.Service,
    )
    return [*lists, story, service]


def _list(each: Listing, row: type[models.Answer], query: type[wanted.Paged]) -> Handler:
    """The handler of one list."""

    async def handler(request: web.Request) -> web.StreamResponse:
        site, asked = request.app[SITE], wanted.parsed(query, request)
        page = await read(site.database, each, _wanted(each, asked, request[IDENTITY]))
        more = None if page.next is None else _next(site, request, page.next)
        items = [row.model_validate(found) for found in page.rows]
        link = {"Link": f'<{more}>; rel="next"'} if more else {}
        answer = models.Page[row](items=items, next=more)  # type: ignore[valid-type]
        return json_response(answer, headers=link)

    return handler


def _wanted(each: Listing, asked: wanted.Paged, identity: Identity) -> Wanted:
    """A node that the store has no column for is looked for in node lists."""
    filters = asked.filters()
    node = "" if "node" in each.filters else str(filters.pop("node", ""))
    return Wanted(
        filters=filters,
        limit=asked.limit,
        cursor=asked.cursor,
        owner=None if identity.sees_all else identity.user,
        node=node,
    )


def _next(site: Site, request: web.Request, cursor: int) -> str:
    asked = {**request.query, "cursor": str(cursor)}
    path = request.path.removeprefix(site.web.base_path)
    return f"{site.web.base_path}{path}?{urlencode(asked)}"


async def job_of(request: web.Request) -> rows.Row:
    """The job that the path names; one of somebody else is as one that is not there."""
    job_id = request.match_info["jobid"]
    if re.fullmatch(wanted.JOB_ID, job_id):
        found = await request.app[SITE].database.all(queries.job_by_id(job_id))
        if found and request[IDENTITY].may_see(found[0]["user"]):
            return found[0]
    raise not_found("job")


async def _job(request: web.Request) -> web.StreamResponse:
    site = request.app[SITE]
    job = await job_of(request)
    return json_response(await tell(site.database, job, f"{site.web.base_path}{PREFIX}"))


async def _service(request: web.Request) -> web.StreamResponse:
    operator = request[IDENTITY].operator
    facts = told_to(request.app[SITE].service.facts(), everybody=not operator)
    hidden: dict[str, Any] = {name: None for name in _OPERATORS if not operator}
    told = {name: getattr(facts, name) for name in models.Service.model_fields}
    return json_response(models.Service.model_validate({**told, **hidden}))


#: What names hosts, accounts, and jobs of others.
_OPERATORS = ("host", "pid", "slurm_why", "store_url", "troubles")
