"""The running service as pages see it."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable
from datetime import datetime, timedelta

from ajrd import __version__
from ajrd.logs.health import FilesHealth
from ajrd.loki.health import Health, State
from ajrd.vitals.parts import Leading, Parts, away_for
from ajrd.web.site import ServiceFacts, SourceFacts, Trouble


class View:
    """The :class:`~ajrd.web.site.ServiceView` of this process."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def facts(self) -> ServiceFacts:
        """How it does at this moment."""
        parts = self._parts
        judgement, slurm = parts.judgement, parts.slurm
        return ServiceFacts(
            version=__version__,
            role="standby" if parts.leading is None else "leader",
            mode=parts.config.recovery.mode.value,
            host=socket.gethostname(),
            pid=os.getpid(),
            started_at=parts.started_at,
            rules=len(judgement.catalogue.rules) if judgement else 0,
            rules_digest=judgement.digest if judgement else "",
            slurm_version=slurm.version if slurm else "",
            slurm_seen_at=slurm.seen_at if slurm else None,
            slurm_why=slurm.why if slurm else "",
            store_url=parts.config.database.url,
            store_away_since=self._away_since(),
            sources=tuple(_sources(parts.leading)),
            troubles=tuple(Trouble(s.at, s.event, s.message) for s in parts.recent.messages),
        )

    def _away_since(self) -> datetime | None:
        away = away_for(self._parts.store) if self._parts.store is not None else None
        return None if away is None else self._parts.clock() - timedelta(seconds=away)


def _sources(leading: Leading | None) -> Iterable[SourceFacts]:
    if leading is None:
        return
    if leading.files is not None:
        yield files_facts(leading.files.files_health())
    for tenant in leading.loki.health if leading.loki else ():
        yield loki_facts(tenant)


def files_facts(health: FilesHealth) -> SourceFacts:
    """Files as one source. ``state``: ``well``, ``unreadable`` or ``incomplete``."""
    state = "well"
    if health.unreadable or health.given_up:
        state = "unreadable" if health.unreadable else "incomplete"
    return SourceFacts(
        name="files", state=state, why=health.why, lag=health.lag, followed=health.followed
    )


def loki_facts(health: Health) -> SourceFacts:
    """A tenant as a source; what is followed there are its tails."""
    name = f"loki {health.tenant}" if health.tenant else "loki"
    why = "" if health.state is State.WELL else health.why
    return SourceFacts(
        name=name, state=health.state.value, why=why, lag=health.lag, followed=health.tails
    )
