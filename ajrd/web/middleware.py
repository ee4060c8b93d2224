"""What happens around every request, from the outside in.

An error becomes a problem; then it is found out who asks, whether too often, and whether a browser
was made to ask by another site; what comes back gets an ETag and is compressed.
"""

from __future__ import annotations

import hashlib
import math
import secrets
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import structlog
from aiohttp import ETag, web
from aiohttp.typedefs import Handler, Middleware

from ajrd.errors import StoreUnavailable
from ajrd.web.identity import IDENTITY, Identity, Way
from ajrd.web.limits import Buckets
from ajrd.web.munge import MungeUnavailable
from ajrd.web.peers import Doorkeeper, Peer, peer_of, unknown
from ajrd.web.people import PeopleUnavailable
from ajrd.web.problem import Problem, response

log = structlog.get_logger("ajrd.web")

REQUEST_ID = web.RequestKey("request_id", str)
#: Attempts to prove who one is that may fail in a minute, from one address.
_FAILURES = 30
#: Answers shorter than this are not worth compressing, bytes.
_SHORT = 512
_READS = ("GET", "HEAD", "OPTIONS")
#: Seconds after which something that is away may be asked again.
_RETRY = {"Retry-After": "5"}
#: Everything that a page of ours shows and runs comes from here, and nobody may frame it.
SECURITY = {
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'self';"
    " frame-ancestors 'none'; object-src 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


async def add_headers(request: web.Request, answer: web.StreamResponse) -> None:
    """For every answer; what a handler has set stays."""
    for name, value in {**SECURITY, "X-Request-Id": request.get(REQUEST_ID, "")}.items():
        answer.headers.setdefault(name, value)
    answer.headers.setdefault("Cache-Control", "no-store")


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every error as a problem; what was not foreseen stands in the service's log alone."""
    request[REQUEST_ID] = number = secrets.token_hex(8)
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        kept = {name: error.headers[name] for name in ("Allow",) if name in error.headers}
        problem = Problem(error.status, _SENTENCES.get(error.status, error.reason), headers=kept)
    except Problem as error:
        problem = error
    except StoreUnavailable as error:
        log.warning("web_without_store", request=number, why=str(error))
        problem = Problem(503, "the database does not answer at the moment", headers=_RETRY)
    except (MungeUnavailable, PeopleUnavailable) as error:
        log.warning("web_cannot_identify", request=number, why=str(error))
        problem = Problem(503, str(error), headers=_RETRY)
    except Exception:
        log.exception("web_failed", request=number, path=request.path)
        problem = Problem(500, f"something is wrong in ajrd: see its log, request {number}")
    return response(problem, request, number)


_SENTENCES = {
    404: "there is no such page",
    405: "this cannot be done here",
    413: "the request is too long",
}


@dataclass(slots=True)
class Door:
    """Lets in whoever may come in, as often as he may."""

    keeper: Doorkeeper
    per_user: Buckets
    failures: Buckets = field(default_factory=lambda: Buckets(_FAILURES))

    def middleware(self) -> Middleware:
        """As aiohttp takes it."""

        @web.middleware
        async def let_in(request: web.Request, handler: Handler) -> web.StreamResponse:
            request[IDENTITY] = await self._identity(request)
            return await handler(request)

        return let_in

    async def _identity(self, request: web.Request) -> Identity:
        peer = peer_of(request.get_extra_info("socket"))
        place = request.path.removeprefix(self.keeper.settings.base_path)
        if place == "/healthz":
            _refuse(self.per_user.take(str(peer)))
            return Identity("", operator=False, way=Way.ANONYMOUS)
        proves = self.keeper.asks_munge(request, peer)
        if proves:
            _refuse(self.failures.wait(str(peer)))
        try:
            identity = await self.keeper.identify(request, peer)
            self._admit(identity, place, peer)
        except Problem:  # also a good credential too many: munged was asked for it
            if proves:
                self.failures.take(str(peer))
            raise
        return identity

    def _admit(self, identity: Identity, place: str, peer: Peer) -> None:
        _refuse(self.per_user.take(f"user {identity.user}" if identity.user else str(peer)))
        if identity.user or identity.reads_all:
            return
        if place in ("/metrics", "/readyz") and self.keeper.settings.anonymous_metrics:
            return
        if place.startswith("/static/"):  # how the page looks that says that it is not known
            return
        raise unknown("say who you are: with a MUNGE credential, on the UNIX socket, or by a proxy")


def _refuse(wait: float) -> None:
    if wait > 0:
        headers = {"Retry-After": str(math.ceil(wait))}
        raise Problem(429, f"too many requests: ask again in {math.ceil(wait)} s", headers=headers)


@web.middleware
async def same_site(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuses what another site has made somebody's browser send.

    Browsers say where a request comes from (Sec-Fetch-Site, or Origin in older ones), and none
    sends JSON to another site without asking it first, which is never answered.
    """
    if request.method in _READS:
        return await handler(request)
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    if site is not None and site not in ("same-origin", "none"):
        raise Problem(403, "a page of another site has asked for this")
    if site is None and origin is not None and urlsplit(origin).netloc != request.host:
        raise Problem(403, "a page of another site has asked for this")
    if request.content_type != "application/json":
        raise Problem(415, "say it in JSON: Content-Type: application/json")
    return await handler(request)


@web.middleware
async def compact(request: web.Request, handler: Handler) -> web.StreamResponse:
    """An ETag for what was read, nothing where the reader has it already, and compression."""
    answer = await handler(request)
    if not isinstance(answer, web.Response) or not isinstance(answer.body, bytes):
        return answer
    answer.headers["Vary"] = "Accept-Encoding"
    kept = answer.headers.setdefault("Cache-Control", "private, no-cache") != "no-store"
    if kept and request.method in ("GET", "HEAD") and answer.status == 200:
        answer.etag = mark = answer.etag or ETag(_digest(answer.body), is_weak=True)
        if any(tag.value in ("*", mark.value) for tag in request.if_none_match or ()):
            return _unchanged(answer)
    if len(answer.body) >= _SHORT and request.method != "HEAD":
        answer.enable_compression()
    return answer


def _unchanged(answer: web.Response) -> web.Response:
    kept = {name: answer.headers[name] for name in ("ETag", "Cache-Control", "Vary")}
    return web.Response(status=304, headers=kept)


def _digest(body: bytes) -> str:
    return hashlib.blake2b(body, digest_size=12).hexdigest()
