"""A Loki for tests: the part of its HTTP interface that ajrd uses, with its limits and its losses.

What it does was seen on Loki 3.3; the contract tests run against both. Its thread has an event loop
of its own, so that processes and tests alike can talk to it.
"""

from __future__ import annotations

import asyncio
import base64
import bisect
import json
import re
import ssl
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import re2  # type: ignore[import-untyped]
from aiohttp import web

from labcluster.ports import free_block

LIMIT, LONGEST_LINE, OLDEST = 5000, 256 * 1024, 7 * 86400
#: Entries that a tail delivers in a second, and dropped ones that it names.
TAILED, NAMED = 2500, 1000
#: How far an entry may be behind the newest of its stream, ns.
BEHIND = 3600 * 10**9
TAILS = 10
_MATCHER = re.compile(r'\s*([a-zA-Z_]\w*)\s*(=~|!~|!=|=)\s*("(?:[^"\\]|\\.)*"|`[^`]*`)\s*(,|\})')
_STAGE = re.compile(
    r'\s*(?:(\|~|!~|\|=|!=)|\|\s*([a-zA-Z_]\w*)\s*(=~|!~|!=|=))\s*("(?:[^"\\]|\\.)*"|`[^`]*`)'
)

Labels = dict[str, str]


class ParseError(Exception):
    """LogQL that Loki would not take."""


@dataclass(frozen=True, slots=True)
class Stored:
    """One entry as it is kept."""

    ns: int
    line: str
    metadata: Labels
    labels: Labels


Stage = Callable[[list[Stored]], list[Stored]]


@dataclass(frozen=True, slots=True)
class Query:
    """What LogQL asks for: which streams, and which of their entries."""

    matchers: list[Callable[[Labels], bool]]
    stages: list[Stage]

    def select(self, labels: Labels, entries: list[Stored]) -> list[Stored]:
        """Those of one stream that it asks for."""
        if not all(fits(labels) for fits in self.matchers):
            return []
        for stage in self.stages:
            entries = stage(entries)
        return entries


def _unquoted(text: str) -> str:
    return text[1:-1] if text[0] == "`" else str(json.loads(text))


def _regex(pattern: str) -> Any:
    options = re2.Options()
    options.log_errors = False
    options.max_mem = 64 << 20
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        raise ParseError(f"parse error : error parsing regexp: {error}") from None


def _compare(operator: str, wanted: str) -> Callable[[str], bool]:
    if operator in ("=", "!="):
        return lambda value: (value == wanted) == (operator == "=")
    regex = _regex(f"^(?:{wanted})$")
    return lambda value: (regex.search(value) is not None) == (operator == "=~")


def _matcher(name: str, operator: str, wanted: str) -> Callable[[Labels], bool]:
    fits = _compare(operator, wanted)
    return lambda labels: fits(labels.get(name, ""))


def _label_filter(name: str, operator: str, wanted: str) -> Stage:
    fits = _matcher(name, operator, wanted)
    return lambda entries: [e for e in entries if fits(e.labels | e.metadata)]


class LineFilter:
    """It remembers lines, and looks at many of them at once."""

    def __init__(self, operator: str, wanted: str) -> None:
        self._positive = operator in ("|=", "|~")
        plain = re2.escape(wanted) if operator in ("|=", "!=") else wanted
        self._search = _regex(plain).search
        self._by_blocks = plain.startswith("(?i)")
        self._seen: dict[str, bool] = {}

    def __call__(self, entries: list[Stored]) -> list[Stored]:
        self._look([entry.line for entry in entries if entry.line not in self._seen])
        return [entry for entry in entries if self._seen[entry.line] == self._positive]

    def _look(self, lines: list[str]) -> None:
        """Most lines are none of those that ajrd looks for: halves without any need no more."""
        if self._by_blocks and self._search("\n".join(lines)) is None:
            self._seen.update(dict.fromkeys(lines, False))
        elif self._by_blocks and len(lines) > 8:
            self._look(lines[: len(lines) // 2])
            self._look(lines[len(lines) // 2 :])
        else:
            self._seen.update((line, self._search(line) is not None) for line in lines)


@lru_cache(maxsize=64)
def parse(text: str) -> Query:
    """Understands as much of LogQL as ajrd speaks."""
    if len(text) >= 131072:
        raise ParseError(f"input size too long ({len(text)} > 131072)")
    if not text.startswith("{"):
        raise ParseError("parse error at line 1, col 1: syntax error: unexpected IDENTIFIER")
    query = Query([], [])
    place, more = 1, ","
    while more == ",":
        found = _MATCHER.match(text, place)
        if found is None:
            raise ParseError(f"parse error at line 1, col {place + 1}: syntax error")
        query.matchers.append(_matcher(found[1], found[2], _unquoted(found[3])))
        place, more = found.end(), found[4]
    while text[place:].strip():
        stage = _STAGE.match(text, place)
        if stage is None:
            raise ParseError(f"parse error at line 1, col {place + 1}: syntax error")
        line_filter, name, operator, quoted = stage.groups()
        wanted = _unquoted(quoted)
        if line_filter:
            query.stages.append(LineFilter(line_filter, wanted))
        else:
            query.stages.append(_label_filter(name, operator, wanted))
        place = stage.end()
    return query


@dataclass(eq=False)
class Tail:
    """One open tail; ``window`` is the second in which ``sent`` entries were delivered."""

    query: Query
    categorized: bool
    transport: asyncio.BaseTransport | None
    waiting: deque[Stored] = field(default_factory=deque)
    dropped: list[Stored] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)
    window: float = 0.0
    sent: int = 0

    def offer(self, entry: Stored) -> None:
        """Delivers it, or, when it is too much, does not."""
        now = time.monotonic()
        if now - self.window > 1:
            self.window, self.sent = now, 0
        self.sent += 1
        if self.sent <= TAILED:
            self.waiting.append(entry)
        elif len(self.dropped) < NAMED:
            self.dropped.append(entry)
        self.news.set()


@dataclass
class Tenant:
    """The entries of one tenant by stream, in order of time."""

    streams: dict[str, list[Stored]] = field(default_factory=lambda: defaultdict(list))
    tails: list[Tail] = field(default_factory=list)

    def add(self, labels: Labels, values: list[list[Any]], now: float) -> str:
        """Takes what it can; what was wrong with the last entry that it does not take."""
        stream, wrong = self.streams[json.dumps(labels, sort_keys=True)], ""
        taken: list[Stored] = []
        for ns, line, *more in values:
            entry = Stored(int(ns), line, (more[0] if more else {}) | _level(line), labels)
            wrong = _refusal(entry, stream, now) or wrong
            if not _refusal(entry, stream, now) and self._insert(stream, entry):
                taken.append(entry)
        for tail in self.tails:
            for entry in tail.query.select(labels, taken):
                tail.offer(entry)
        return wrong

    @staticmethod
    def _insert(stream: list[Stored], entry: Stored) -> bool:
        """An entry of the same time and text is one that is there already."""
        place = bisect.bisect_right(stream, entry.ns, key=lambda each: each.ns)
        before = place - 1
        while before >= 0 and stream[before].ns == entry.ns:
            if stream[before].line == entry.line:
                return False
            before -= 1
        stream.insert(place, entry)
        return True

    def select(self, query: Query, start: int, end: int) -> Iterator[Stored]:
        """The entries from ``start`` on and before ``end``."""
        for stream in list(self.streams.values()):
            first = bisect.bisect_left(stream, start, key=lambda each: each.ns)
            last = bisect.bisect_left(stream, end, key=lambda each: each.ns)
            if first < last:
                yield from query.select(stream[first].labels, stream[first:last])


def _level(line: str) -> Labels:
    """What Loki 3 adds by itself."""
    return {"detected_level": "error" if "error" in line.lower() else "unknown"}


def _refusal(entry: Stored, stream: list[Stored], now: float) -> str:
    if len(entry.line.encode()) > LONGEST_LINE:
        return f"max entry size {LONGEST_LINE} bytes exceeded for stream '{entry.labels}'"
    if entry.ns / 1e9 < now - OLDEST:
        return f"entry for stream '{entry.labels}' has timestamp too old"
    if entry.ns / 1e9 > now + 600:
        return f"entry for stream '{entry.labels}' has timestamp too new"
    if stream and entry.ns < stream[-1].ns - BEHIND:
        return "entry too far behind, entry timestamp is too old"
    return ""


def _streams(entries: list[Stored], *, categorized: bool, merged: bool) -> list[dict[str, Any]]:
    """As Loki writes them: without the flag a query merges metadata into labels, a tail none."""
    grouped: dict[str, tuple[Labels, list[list[Any]]]] = {}
    for entry in entries:
        labels = entry.labels | entry.metadata if merged and not categorized else entry.labels
        value: list[Any] = [str(entry.ns), entry.line]
        if categorized:
            value.append({"structuredMetadata": entry.metadata} if entry.metadata else {})
        grouped.setdefault(json.dumps(labels, sort_keys=True), (labels, []))[1].append(value)
    return [{"stream": labels, "values": values} for labels, values in grouped.values()]


class Double:
    """The server. ``limit``, ``rate`` (bytes a second) and ``secret`` can be set before a request.

    ``secret`` is the value of ``Authorization`` that it asks for, ``tenants`` whether one must be
    named. ``refusals`` are the next answers: (status, text, headers), taken from the left.
    """

    def __init__(self) -> None:
        self.port = free_block(1)
        self.limit = LIMIT
        self.rate = 4_000_000
        self.secret = ""
        self.must_name_tenant = False
        self.prefix = ""
        self.tls: ssl.SSLContext | None = None
        self.refusals: deque[tuple[int, str, Mapping[str, str]]] = deque()
        self.refuse_tails = False
        self.queries: list[dict[str, str]] = []
        self.frozen = threading.Event()
        self._tenants: dict[str, Tenant] = defaultdict(Tenant)
        self._pushed = (0.0, 0)
        self._loop = asyncio.new_event_loop()
        self._runner: web.AppRunner | None = None
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.start()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http{'s' if self.tls else ''}://127.0.0.1:{self.port}{self.prefix}"

    def start(self) -> None:
        """Also again, with what it has kept."""
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(10)

    def stop(self) -> None:
        """As if it had crashed: tails break off, nothing listens."""
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(10)

    def close(self) -> None:
        """Ends its thread."""
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def tails(self, tenant: str = "fake") -> int:
        """How many tails are open."""
        return len(self._tenants[tenant].tails)

    async def _start(self) -> None:
        app = web.Application(client_max_size=64 << 20, middlewares=[self._gate])
        app.router.add_get(f"{self.prefix}/ready", self._ready)
        api = f"{self.prefix}/loki/api/v1"
        app.router.add_get(f"{api}/status/buildinfo", self._buildinfo)
        app.router.add_get(f"{api}/query_range", self._query)
        app.router.add_get(f"{api}/tail", self._tail)
        app.router.add_post(f"{api}/push", self._push)
        self._runner = web.AppRunner(app, shutdown_timeout=0.0)
        await self._runner.setup()
        await web.TCPSite(
            self._runner, "127.0.0.1", self.port, reuse_address=True, ssl_context=self.tls
        ).start()

    async def _stop(self) -> None:
        for tail in [tail for tenant in self._tenants.values() for tail in tenant.tails]:
            if isinstance(tail.transport, asyncio.WriteTransport):
                tail.transport.abort()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    @web.middleware
    async def _gate(self, request: web.Request, handler: Any) -> web.StreamResponse:
        while self.frozen.is_set():
            await asyncio.sleep(0.01)
        if self.secret and request.headers.get("Authorization") != self.secret:
            return web.Response(status=401, text="Unauthorized")
        if self.must_name_tenant and not request.headers.get("X-Scope-OrgID"):
            return web.Response(status=401, text="no org id")
        if self.refusals and not request.path.endswith("/push"):
            status, text, headers = self.refusals.popleft()
            return web.Response(status=status, text=text, headers=headers)
        answer: web.StreamResponse = await handler(request)
        return answer

    def _of(self, request: web.Request) -> Tenant:
        return self._tenants[request.headers.get("X-Scope-OrgID", "fake")]

    async def _ready(self, _request: web.Request) -> web.Response:
        return web.Response(text="ready\n")

    async def _buildinfo(self, _request: web.Request) -> web.Response:
        return web.json_response({"version": "3.3.2", "revision": "double", "branch": "none"})

    async def _push(self, request: web.Request) -> web.Response:
        body = await request.read()
        now = time.monotonic()
        began, size = self._pushed
        if now - began > 1:
            began, size = now, 0
        if size + len(body) > self.rate:
            text = f"Ingestion rate limit exceeded for user fake (limit: {self.rate} bytes/sec)"
            return web.Response(status=429, text=text)
        self._pushed = began, size + len(body)
        wrong = ""
        for stream in json.loads(body)["streams"]:
            labels = {**stream["stream"]}
            labels.setdefault("service_name", labels.get("job", "unknown_service"))
            wrong = self._of(request).add(labels, stream["values"], time.time()) or wrong
        return web.Response(status=400, text=wrong) if wrong else web.Response(status=204)

    async def _query(self, request: web.Request) -> web.Response:
        values = request.query
        self.queries.append(dict(values))
        limit, start, end = (int(values[name]) for name in ("limit", "start", "end"))
        if limit > self.limit:
            text = "max entries limit per query exceeded, limit > max_entries_limit_per_query"
            return web.Response(status=400, text=f"{text} ({limit} > {self.limit})")
        try:
            query = parse(values["query"])
        except ParseError as error:
            return web.Response(status=400, text=str(error))
        entries = list(self._of(request).select(query, start, end))
        forward = values.get("direction") == "forward"
        entries.sort(key=lambda entry: entry.ns, reverse=not forward)
        categorized = _categorized(request)
        result = _streams(entries[:limit], categorized=categorized, merged=True)
        data = {"resultType": "streams", "result": result, "stats": {}}
        if categorized:
            data["encodingFlags"] = ["categorize-labels"]
        answer = web.json_response({"status": "success", "data": data})
        answer.enable_compression()
        return answer

    async def _tail(self, request: web.Request) -> web.StreamResponse:
        tenant = self._of(request)
        if self.refuse_tails:
            return web.Response(status=502, text="bad gateway")
        if len(tenant.tails) >= TAILS:
            return web.Response(status=400, text="max concurrent tail requests limit exceeded")
        try:
            query = parse(request.query["query"])
        except ParseError as error:
            return web.Response(status=400, text=str(error))
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        tail = Tail(query, _categorized(request), request.transport)
        start = int(request.query.get("start", time.time_ns()))
        history = sorted(tenant.select(query, start, 1 << 62), key=lambda entry: entry.ns)
        tenant.tails.append(tail)
        reading = asyncio.create_task(_until_closed(socket))
        try:
            limit = int(request.query.get("limit", 100))
            await self._deliver(socket, tail, history[:limit], reading)
        finally:
            reading.cancel()
            if tail in tenant.tails:
                tenant.tails.remove(tail)
        return socket

    async def _deliver(
        self,
        socket: web.WebSocketResponse,
        tail: Tail,
        history: list[Stored],
        reading: asyncio.Task[None],
    ) -> None:
        if history:
            streams = _streams(history, categorized=False, merged=True)
            await socket.send_json({"streams": streams})
        while not reading.done():
            news = asyncio.create_task(tail.news.wait())
            await asyncio.wait({news, reading}, return_when=asyncio.FIRST_COMPLETED)
            news.cancel()
            await asyncio.sleep(0.02)
            tail.news.clear()
            while self.frozen.is_set():
                await asyncio.sleep(0.01)
            await self._send(socket, tail)

    async def _send(self, socket: web.WebSocketResponse, tail: Tail) -> None:
        entries, dropped = list(tail.waiting), list(tail.dropped)
        tail.waiting.clear()
        tail.dropped.clear()
        if not entries and not dropped:
            return
        frame: dict[str, Any] = {
            "streams": _streams(entries, categorized=tail.categorized, merged=False)
        }
        if dropped:
            frame["dropped_entries"] = [
                {"timestamp": str(entry.ns), "labels": entry.labels} for entry in dropped
            ]
        if not socket.closed:
            await socket.send_json(frame)


async def _until_closed(socket: web.WebSocketResponse) -> None:
    async for _ in socket:
        pass


def _categorized(request: web.Request) -> bool:
    return "categorize-labels" in request.headers.get("X-Loki-Response-Encoding-Flags", "")


def basic(user: str, password: str) -> str:
    """The value of ``Authorization`` for a user."""
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"
