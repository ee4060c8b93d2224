"""Loki's HTTP interface for one tenant: ask, tail, and tell errors apart.

Every request has a time limit and its answer a size limit. Loki says in plain text what is wrong;
the text decides whether to wait, to ask for less, or to tell an administrator.
"""

from __future__ import annotations

import asyncio
import json
import re
import ssl
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import NoReturn

import aiohttp

from ajrd.errors import ConfigError, LokiDenied, LokiRefused, LokiTooMuch, LokiUnavailable
from ajrd.loki.entries import Entry, Reader
from ajrd.loki.health import Health
from ajrd.retryafter import pause_of
from ajrd.secret import read_secret
from ajrd.store.address import Tls
from ajrd.text import printable

#: Bytes of the largest answer, and of the largest message of a tail.
LARGEST = 64 << 20
#: Asks Loki >= 3.0 to tell structured metadata beside each line, of a tail as of a query: entries
#: of a tail have it nowhere else (grafana/loki#22928). A frontend's cache of empty answers would
#: hide late lines.
_HEADERS = {
    "X-Loki-Response-Encoding-Flags": "categorize-labels",
    "Cache-Control": "no-cache",
}
#: What Loki says when it would have to read or to answer more than it is allowed to.
_TOO_MUCH = re.compile(
    r"max entries limit|too many bytes|max number of chunks|maximum (?:number )?of series"
    r"|query time range exceeds|time range .*exceeds the limit|too large to execute"
    r"|deadline exceeded|received message larger|context canceled|query timed out|query timeout"
)
_LIMIT = re.compile(r"max entries limit .*> (\d+)\)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Where a Loki is and who ajrd is to it; ``timeout`` in seconds."""

    url: str
    user: str | None = None
    password_file: str | None = None
    token_file: str | None = None
    tls: Tls = field(default_factory=Tls)
    timeout: float = 30.0
    password_credential: str = "ajrd-loki-password"  # noqa: S105 -- a name
    token_credential: str = "ajrd-loki-token"  # noqa: S105 -- a name

    def authorization(self) -> dict[str, str]:
        """The header that says who asks, read anew each time: tokens are changed in their file."""
        if self.user is not None:
            password = read_secret(self.password_file, self.password_credential, "Loki")
            pair = b64encode(self.user.encode() + b":" + password).decode()
            return {"Authorization": f"Basic {pair}"}
        token = read_secret(self.token_file, self.token_credential, "Loki")
        return {"Authorization": f"Bearer {token.decode('latin-1')}"} if token else {}

    def context(self) -> ssl.SSLContext | bool:
        """How to verify the server; without ``tls.ca`` by what the system trusts."""
        try:
            return self.tls.context() or True
        except ConfigError as error:
            raise ConfigError(str(error).replace("database.tls", "loki.tls")) from None


@dataclass(frozen=True, slots=True)
class Frame:
    """What a tail brought at once; ``dropped`` is how many entries it says it has left out."""

    entries: list[Entry]
    dropped: int


class Loki:
    """One Loki as one tenant sees it. Closed by :meth:`close`."""

    def __init__(self, access: Access, tenant: str, reader: Reader, health: Health) -> None:
        self._access = access
        self._reader = reader
        self.health = health
        self._headers = {**_HEADERS, **({"X-Scope-OrgID": tenant} if tenant else {})}
        self._ssl = access.context()
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Lets go of the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def query(
        self, logql: str, start: int, end: int, limit: int, *, forward: bool = True
    ) -> list[Entry]:
        """At most ``limit`` entries from ``start`` on and before ``end`` (ns), in order of time."""
        values = {
            "query": logql,
            "start": str(start),
            "end": str(end),
            "limit": str(limit),
            "direction": "forward" if forward else "backward",
        }
        answer = await self._get("/loki/api/v1/query_range", values)
        with _understood("the answer to a query"):
            result = json.loads(answer)["data"]
            if result["resultType"] != "streams":
                raise LokiRefused(f"Loki answers {logql!r} with numbers, not lines")
            entries = list(self._reader.entries(result["result"]))
        self.health.entries += len(entries)
        return sorted(entries, key=lambda entry: entry.ns, reverse=not forward)

    @asynccontextmanager
    async def tail(self, logql: str, start: int) -> AsyncIterator[AsyncIterator[Frame]]:
        """What arrives from now on, and a few entries since ``start`` (ns)."""
        values = {"query": logql, "start": str(start), "limit": "1000"}
        timeout = aiohttp.ClientWSTimeout(ws_close=2.0)
        with _reachable(self._access.url):
            async with asyncio.timeout(self._access.timeout):
                socket = await self._open().ws_connect(
                    f"{self._access.url}/loki/api/v1/tail",
                    params=values,
                    headers=self._headers | self._access.authorization(),
                    ssl=self._ssl,
                    heartbeat=30.0,
                    max_msg_size=LARGEST,
                    timeout=timeout,
                )
            self.health.requests += 1
        try:
            yield self._frames(socket)
        finally:
            await socket.close()

    async def ready(self) -> str:
        """What ``/ready`` says; raises LokiUnavailable if it is not."""
        return printable((await self._get("/ready", {})).decode("utf-8", "replace").strip())

    async def version(self) -> str:
        """Loki's version."""
        answer = await self._get("/loki/api/v1/status/buildinfo", {})
        with _understood("the build information"):
            return printable(str(json.loads(answer)["version"]))

    async def _frames(self, socket: aiohttp.ClientWebSocketResponse) -> AsyncIterator[Frame]:
        with _reachable(self._access.url):
            async for message in socket:
                if message.type is not aiohttp.WSMsgType.TEXT:
                    continue
                with _understood("a message of a tail"):
                    content = json.loads(message.data)
                    entries = list(self._reader.entries(content.get("streams") or ()))
                    dropped = len(content.get("dropped_entries") or ())
                self.health.entries += len(entries)
                yield Frame(entries, dropped)
        raise LokiUnavailable(f"Loki has closed a tail (code {socket.close_code})")

    async def _get(self, path: str, values: Mapping[str, str]) -> bytes:
        self.health.requests += 1
        with _reachable(self._access.url):
            async with (
                asyncio.timeout(self._access.timeout),
                self._open().get(
                    f"{self._access.url}{path}",
                    params=values,
                    headers=self._headers | self._access.authorization(),
                    ssl=self._ssl,
                    allow_redirects=False,
                ) as answer,
            ):
                body = await _bounded(answer)
                if answer.status != 200:
                    refuse(answer.status, body.decode("utf-8", "replace"), answer.headers)
                return body

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            limit = aiohttp.ClientTimeout(total=None, sock_connect=min(self._access.timeout, 10.0))
            self._session = aiohttp.ClientSession(timeout=limit)
        return self._session


async def _bounded(answer: aiohttp.ClientResponse) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for part in answer.content.iter_any():
        parts.append(part)
        size += len(part)
        if size > LARGEST:
            raise LokiTooMuch(f"the answer is larger than {LARGEST >> 20} MiB")
    return b"".join(parts)


def refuse(status: int, body: str, headers: Mapping[str, str]) -> NoReturn:
    """Raises what an answer other than 200 means."""
    said = f"HTTP {status}: {printable(body.strip()[:500])}"
    if status in (401, 403):
        raise LokiDenied(f"Loki does not let ajrd read ({said}): see `loki.auth`, `loki.tenants`")
    if status != 429 and _TOO_MUCH.search(body):
        raise LokiTooMuch(said)
    if status in (413, 504):
        raise LokiTooMuch(said)
    if status in (408, 425, 429) or status >= 500:
        raise LokiUnavailable(said, pause_of(headers.get("Retry-After", "")))
    raise LokiRefused(f"Loki refuses what it is asked ({said})")


def limit_in(error: LokiTooMuch) -> int | None:
    """The number of entries that Loki says one answer may hold."""
    found = _LIMIT.search(str(error))
    return int(found[1]) if found else None


@contextmanager
def _reachable(url: str) -> Iterator[None]:
    """Errors of the network, and of a handshake that Loki answered, as errors of Loki."""
    try:
        yield
    except aiohttp.WSServerHandshakeError as error:
        refuse(error.status, error.message, error.headers or {})
    except aiohttp.ConnectionTimeoutError:
        raise LokiUnavailable(f"{url} does not take a connection") from None
    except TimeoutError:
        raise LokiTooMuch(f"{url} did not answer in time") from None
    except ConfigError as error:
        raise LokiDenied(str(error)) from None
    except (aiohttp.ClientSSLError, ssl.SSLError) as error:
        raise LokiRefused(f"{url}: TLS: {error}: see `loki.tls`") from None
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise LokiUnavailable(f"{url}: {error or type(error).__name__}") from None


@contextmanager
def _understood(what: str) -> Iterator[None]:
    try:
        yield
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise LokiUnavailable(f"{what} is not Loki's: {type(error).__name__}: {error}") from None
