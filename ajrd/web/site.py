"""What every handler needs, in one value that the application carries."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Protocol

from aiohttp import web
from prometheus_client import CollectorRegistry

from ajrd.config import EfficiencySection, WebSection
from ajrd.policy.directive import Limits
from ajrd.store.engine import Database


@dataclass(frozen=True, slots=True)
class Trouble:
    """A warning or an error of the service's own log."""

    at: datetime
    event: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFacts:
    """One source of log lines: ``name`` is ``files`` or a tenant of Loki; ``lag`` is in seconds."""

    name: str
    state: str
    why: str = ""
    lag: float = 0.0
    followed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceFacts:
    """What a process knows of itself. Times are aware UTC; None: never, or not known."""

    version: str
    role: str
    mode: str
    host: str
    pid: int
    started_at: datetime
    rules: int
    rules_digest: str
    slurm_version: str = ""
    slurm_seen_at: datetime | None = None
    slurm_why: str = ""
    store_url: str = ""
    store_away_since: datetime | None = None
    sources: Sequence[SourceFacts] = ()
    troubles: Sequence[Trouble] = field(default=())


def told_to(facts: ServiceFacts, *, everybody: bool) -> ServiceFacts:
    """What may be shown: what names hosts, accounts and jobs of others is for operators."""
    if not everybody:
        return facts
    sources = tuple(replace(source, why="") for source in facts.sources)
    return replace(facts, host="", pid=0, slurm_why="", store_url="", troubles=(), sources=sources)


class ServiceView(Protocol):
    """The running service as pages and metrics see it."""

    def facts(self) -> ServiceFacts:
        """How it does at this moment; never waits."""


@dataclass(frozen=True, slots=True)
class Site:
    """``database`` is one of the web's own: recovery waits for none of its connections.

    ``registry`` holds the metrics of the service; one of its own is empty. ``limits`` are those of
    requeues at this moment.
    """

    database: Database
    web: WebSection
    efficiency: EfficiencySection
    service: ServiceView
    clock: Callable[[], datetime]
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    limits: Callable[[], Limits] = Limits


SITE = web.AppKey("site", Site)
