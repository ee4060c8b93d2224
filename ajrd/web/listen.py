"""One open event stream: joins the hub, writes what it brings, and ends in time."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from aiohttp import ClientConnectionError, web

from ajrd.web import wanted
from ajrd.web.identity import IDENTITY, Identity
from ajrd.web.models import Event
from ajrd.web.problem import Problem
from ajrd.web.routes import PREFIX, Operation
from ajrd.web.stream import Hub, Listener, as_number

HUB = web.AppKey("hub", Hub)
#: Seconds: of silence before a comment is sent; for one write; of a stream's life, after which
#: the reader comes again by himself and is asked again who he is.
HEARTBEAT, WRITING, LIFE = 15.0, 30.0, 3600.0
#: Open streams in all, of one user, and of all without a name.
MOST, EACH, NAMELESS = 1000, 50, 500
_HEADERS = {"Content-Type": "text/event-stream", "X-Accel-Buffering": "no"}
_FULL = {"Retry-After": "30"}


def operations() -> list[Operation]:
    """The stream."""
    return [
        Operation(
            name="stream",
            method="GET",
            path=f"{PREFIX}/stream",
            summary="The audit trail as it grows (server-sent events, resumed by Last-Event-ID)",
            handler=_stream,
            answer=Event,
            query=wanted.StreamWanted,
            problems=(400,),
            media="text/event-stream",
        )
    ]


async def _stream(request: web.Request) -> web.StreamResponse:
    asked, hub = wanted.parsed(wanted.StreamWanted, request), request.app[HUB]
    identity = request[IDENTITY]
    _check_room(hub, identity)
    listener = Listener(identity, asked.job or "", asked.user or "")
    try:
        missed = await hub.join(listener, as_number(request.headers.get("Last-Event-ID")))
        answer = web.StreamResponse(headers=_HEADERS)
        if request.method == "HEAD":
            return answer
        await answer.prepare(request)
        with suppress(TimeoutError, ClientConnectionError):
            async with asyncio.timeout(LIFE):
                await _write(answer, b"retry: 3000\n\n" + missed)
                await _relay(listener, answer)
        return answer
    finally:
        hub.leave(listener)


def _check_room(hub: Hub, identity: Identity) -> None:
    if hub.listeners >= MOST:
        raise Problem(503, "too many event streams are open", headers=_FULL)
    most = EACH if identity.user else NAMELESS
    if not identity.operator and hub.of_user(identity.user) >= most:
        raise Problem(429, f"{most} event streams of yours are open already", headers=_FULL)


async def _relay(listener: Listener, answer: web.StreamResponse) -> None:
    while (chunk := await listener.take(HEARTBEAT)) is not None:
        await _write(answer, chunk or b":\n\n")


async def _write(answer: web.StreamResponse, chunk: bytes) -> None:
    """A reader who takes nothing for so long is not there any more."""
    async with asyncio.timeout(WRITING):
        await answer.write(chunk)
