"""What machines ask of the service: metrics, whether it lives, whether it can do its work.

``/healthz`` answers as long as the event loop turns, and costs nothing, for anybody may ask.
``/readyz`` also needs the database and Slurm; a process that stands by can be as ready as the
leader, its role stands in the answer. Neither tells where these are or what exactly is wrong with
them: that stands in the log.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from aiohttp import hdrs, web
from prometheus_client.exposition import choose_encoder

from ajrd.errors import StoreUnavailable
from ajrd.store import queries
from ajrd.web.site import ServiceFacts, Site

#: Without a sign of Slurm for so long the service is not ready.
SLURM_SEEN = timedelta(seconds=60)
#: So long an answer of the database is good, however often somebody asks.
FRESH = timedelta(seconds=1)


def routes(site: Site) -> list[web.RouteDef]:
    """``/metrics``, ``/healthz`` and ``/readyz``."""
    readiness = Readiness(site)

    async def metrics(request: web.Request) -> web.Response:
        return exposition(site, request)

    async def healthz(_request: web.Request) -> web.Response:
        return answer({"alive": True})

    async def readyz(_request: web.Request) -> web.Response:
        facts = site.service.facts()
        reasons = [*await readiness.of_store(), *of_slurm(facts, site.clock())]
        body = {"ready": not reasons, "role": facts.role, "reasons": reasons}
        return answer(body, status=503 if reasons else 200)

    return [
        web.get("/metrics", metrics),
        web.get("/healthz", healthz),
        web.get("/readyz", readyz),
    ]


def exposition(site: Site, request: web.Request) -> web.Response:
    """All metrics, in the format and encoding that the client takes."""
    encode, content_type = choose_encoder(request.headers.get(hdrs.ACCEPT, ""))
    response = web.Response(
        body=encode(site.registry),
        headers={hdrs.CONTENT_TYPE: content_type, hdrs.CACHE_CONTROL: "no-store"},
    )
    if "gzip" in request.headers.get(hdrs.ACCEPT_ENCODING, ""):
        response.enable_compression(web.ContentCoding.gzip)
    return response


def answer(body: object, status: int = 200) -> web.Response:
    """JSON that nobody keeps."""
    return web.json_response(body, status=status, headers={hdrs.CACHE_CONTROL: "no-store"})


@dataclass(slots=True)
class Readiness:
    """Whether the database answers, asked once a second at most."""

    site: Site
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    _asked_at: datetime | None = None
    _faults: list[str] = field(default_factory=list)

    async def of_store(self) -> list[str]:
        """What is wrong with it, in a sentence."""
        async with self._turn:
            now = self.site.clock()
            if self._asked_at is None or now - self._asked_at >= FRESH:
                self._faults = await self._ask()
                self._asked_at = now
        return self._faults

    async def _ask(self) -> list[str]:
        try:
            await self.site.database.all(queries.the_lease())
        except StoreUnavailable:
            return ["the database does not answer"]
        return []


def of_slurm(facts: ServiceFacts, now: datetime) -> list[str]:
    """What is wrong with Slurm, as far as this process has seen it."""
    if facts.slurm_seen_at is None:
        return ["Slurm has not answered since the start"]
    silence = now - facts.slurm_seen_at
    if silence <= SLURM_SEEN:
        return []
    return [f"Slurm has not answered for {silence.total_seconds():.0f} s"]
