"""The parts of a running service, as far as it has them at the moment."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, runtime_checkable

from ajrd.config import Config
from ajrd.hardware.health import HandoffHealth
from ajrd.journal import Recent
from ajrd.judgement import Judgement
from ajrd.logs.health import FilesHealth
from ajrd.loki.health import Health
from ajrd.notify.health import EndpointHealth
from ajrd.recovery.leadership import Leadership
from ajrd.recovery.loop import Recovery
from ajrd.store.store import Store
from ajrd.vitals.slurm import MeteredSlurm


@runtime_checkable
class FilesPart(Protocol):
    """Who reads files: :class:`ajrd.logwatch.LogWatch`."""

    def files_health(self) -> FilesHealth:
        """How it goes."""


@runtime_checkable
class LokiPart(Protocol):
    """Who reads from Loki: :class:`ajrd.loki.watch.LokiWatch`."""

    @property
    def health(self) -> list[Health]:
        """How each tenant does."""


@dataclass(frozen=True, slots=True)
class Leading:
    """What runs in the leader alone."""

    recovery: Recovery
    files: FilesPart | None
    loki: LokiPart | None
    handoff: HandoffHealth | None
    endpoints: tuple[EndpointHealth, ...]

    @classmethod
    def of(cls, recovery: Recovery, beside: Iterable[object]) -> Leading:
        """The recovery loop with whichever sources of logs, and ways out, it has."""
        found = list(beside)
        files = next((one for one in found if isinstance(one, FilesPart)), None)
        loki = next((one for one in found if isinstance(one, LokiPart)), None)
        handoff = next((one for one in found if isinstance(one, HandoffHealth)), None)
        endpoints = tuple(one for one in found if isinstance(one, EndpointHealth))
        return cls(recovery, files, loki, handoff, endpoints)


@dataclass(slots=True)
class Parts:
    """Filled in while the service starts. ``leading`` is None in one that stands by."""

    config: Config
    clock: Callable[[], datetime]
    started_at: datetime
    recent: Recent = field(default_factory=Recent)
    judgement: Judgement | None = None
    store: Store | None = None
    slurm: MeteredSlurm | None = None
    leadership: Leadership | None = None
    leading: Leading | None = None
    reload_ok: bool = True


def away_for(store: Store) -> float | None:
    """For how long the database has not answered, seconds; None if it does."""
    since = store.away_since
    return None if since is None else time.monotonic() - since
