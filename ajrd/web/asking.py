"""The writing side of the API: people ask, the leader does it or refuses, and says which."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any

from aiohttp import web
from pydantic import ValidationError

from ajrd.model import RequestVerb
from ajrd.store import requests
from ajrd.web.answer import json_response
from ajrd.web.api import job_of
from ajrd.web.identity import IDENTITY
from ajrd.web.models import NewRequest, Request
from ajrd.web.problem import Problem, not_found
from ajrd.web.routes import PREFIX, Operation
from ajrd.web.site import SITE, Site
from ajrd.web.story import request as as_answer
from ajrd.web.wanted import complaint

#: One request is written at a time: the other connections are for readers.
WRITING = web.AppKey[AbstractAsyncContextManager[Any]]("writing")
#: Seconds in which a body must have come.
_PATIENCE = 10.0
_SUMMARIES = {
    RequestVerb.PAUSE: "Asks ajrd to do nothing to a job until it is resumed",
    RequestVerb.RESUME: "Asks ajrd to look after a paused job again",
    RequestVerb.REQUEUE: "Asks for a requeue of a job now",
    RequestVerb.RELEASE: "Asks for the release of a job that ajrd holds",
    RequestVerb.ABANDON: "Asks ajrd to give up a job's open decision",
}


def operations() -> list[Operation]:
    """What can be asked for, and the answer to it."""
    asks = [
        Operation(
            name=verb.value,
            method="POST",
            path=f"{PREFIX}/jobs/{{jobid}}/{verb.value}",
            summary=_SUMMARIES[verb],
            handler=partial(_ask, verb),
            answer=Request,
            status=202,
            body=NewRequest,
            problems=(400, 403, 404, 408, 409, 413, 415, 422),
        )
        for verb in RequestVerb
    ]
    answer = Operation(
        name="request",
        method="GET",
        path=f"{PREFIX}/requests/{{number}}",
        summary="What became of a request",
        handler=_request,
        answer=Request,
        problems=(404,),
    )
    return [*asks, answer]


async def _ask(verb: RequestVerb, request: web.Request) -> web.StreamResponse:
    site, identity = request.app[SITE], request[IDENTITY]
    job = await job_of(request)
    if not identity.may_steer(job["user"]):
        raise Problem(403, "only its owner and operators may ask for something to be done to a job")
    asked = await _body(request)
    database, now = site.database, site.clock()
    async with database.transaction(request.app[WRITING], "writing a request", writes=True) as db:
        same = await requests.open_equal(db, job["id"], verb)
        if same is None:
            number = await requests.ask(db, job["id"], verb, identity.user, asked.reason, now)
    if same is not None:
        where = _address(site, same)
        raise Problem(409, f"a {verb} of this job is asked for already", request=where)
    row = (await database.all(requests.request_by_id(number)))[0]
    location = {"Location": _address(site, number)}
    return json_response(as_answer(row), status=202, headers=location)


async def _body(request: web.Request) -> NewRequest:
    try:
        async with asyncio.timeout(_PATIENCE):
            return NewRequest.model_validate_json(await request.read())
    except TimeoutError:
        raise Problem(408, f"the request did not come within {_PATIENCE:g} s") from None
    except web.RequestPayloadError:
        raise Problem(400, "the request cannot be decoded") from None
    except ValidationError as error:
        raise Problem(422, complaint(error)) from None


def _address(site: Site, number: int) -> str:
    return f"{site.web.base_path}{PREFIX}/requests/{number}"


async def _request(request: web.Request) -> web.StreamResponse:
    number = request.match_info["number"]
    if number.isascii() and number.isdigit() and len(number) <= 18:
        found = await request.app[SITE].database.all(requests.request_by_id(int(number)))
        if found and request[IDENTITY].may_see(found[0]["user"]):
            return json_response(as_answer(found[0]))
    raise not_found("request")
