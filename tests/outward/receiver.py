"""Another service of the site for tests: it keeps what it was sent and answers as it is told.

Its thread has an event loop of its own, so that processes and tests alike can talk to it.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from labcluster.ports import free_block


@dataclass(frozen=True, slots=True)
class Sent:
    """One request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer; ``hang``: it never comes, ``trickle``: it never ends."""

    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)
    hang: bool = False
    trickle: bool = False


class Receiver:
    """``replies`` are used up one by one, after that ``usual`` is the answer."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.port = free_block(1)
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self.port}"
        self._tls = tls
        self.sent: list[Sent] = []
        self.replies: deque[Reply] = deque()
        self.usual = Reply()
        self._loop = asyncio.new_event_loop()
        self._up = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._start())
        self._up.set()
        self._loop.run_forever()
        self._loop.run_until_complete(self._end())
        self._loop.close()

    async def _end(self) -> None:
        await self._runner.cleanup()
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)

    async def _start(self) -> None:
        application = web.Application()
        application.router.add_route("*", r"/{path:(?:.|\n)*}", self._answer)
        self._runner = web.AppRunner(application, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, ssl_context=self._tls).start()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.sent.append(Sent(request.method, request.raw_path, headers, body))
        reply = self.replies.popleft() if self.replies else self.usual
        if reply.hang:
            await asyncio.sleep(3600)
        if reply.trickle:
            return await self._trickle(request)
        return web.Response(status=reply.status, body=reply.body, headers=reply.headers)

    async def _trickle(self, request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        while True:
            await answer.write(b" ")
            await asyncio.sleep(0.01)

    def __enter__(self) -> Receiver:
        self._thread.start()
        self._up.wait(30)
        return self

    def __exit__(self, *_error: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(30)


@contextmanager
def receiving(*replies: Reply, tls: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    """A receiver that gives these answers first."""
    with Receiver(tls) as receiver:
        receiver.replies.extend(replies)
        yield receiver


def said(value: Any, status: int = 200) -> Reply:
    """An answer in JSON."""
    return Reply(status, json.dumps(value).encode())


HANG = Reply(hang=True)
TRICKLE = Reply(trickle=True)
HUGE = Reply(body=b'"' + b"x" * (1 << 20) + b'"')
BUSY = Reply(429, b"slow down", {"Retry-After": "77"})
BROKEN = Reply(500, b"boom \x1b[31m")
DENIED = Reply(401, b"who are you")
ELSEWHERE = Reply(307, b"", {"Location": "http://127.0.0.1:9/stolen"})
