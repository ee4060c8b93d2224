"""How the service itself does: who leads, this process, sources, store, Slurm, rules, troubles."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aiohttp import web

from ajrd.errors import StoreUnavailable
from ajrd.store import queries, rows
from ajrd.store.records import LeaseRecord
from ajrd.web.pages.shell import Shell

#: Seconds without a word from Slurm after which the page says so.
SLURM_IS_SILENT = 60.0


@dataclass(frozen=True, slots=True)
class Leader:
    """The lease as the store shows it; ``away`` says why it does not."""

    lease: LeaseRecord | None
    away: str = ""

    def leads(self, now: datetime) -> bool:
        """Does somebody lead at this moment?"""
        lease = self.lease
        return lease is not None and bool(lease.holder) and lease.expires_at > now


async def page(shell: Shell, request: web.Request) -> web.Response:
    """``GET /service``; it stands also without a store."""
    return shell.answer(request, "service.html", **await _content(shell))


async def part(shell: Shell, request: web.Request) -> web.Response:
    """``GET /fragments/service``: what is fetched again."""
    return shell.answer(request, "service_part.html", **await _content(shell))


async def _content(shell: Shell) -> dict[str, Any]:
    facts, now = shell.site.service.facts(), shell.now()
    silent = facts.slurm_seen_at is None or (
        (now - facts.slurm_seen_at).total_seconds() > SLURM_IS_SILENT
    )
    leader = await _leader(shell)
    return {"leader": leader, "leads": leader.leads(now), "slurm_is_silent": silent}


async def _leader(shell: Shell) -> Leader:
    try:
        found = await shell.site.database.all(queries.the_lease())
    except StoreUnavailable as error:
        return Leader(None, str(error))
    return Leader(rows.lease(found[0]) if found else None)
