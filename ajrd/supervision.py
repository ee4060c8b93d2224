"""Tells the service manager how the service does: ready, a line of status, a sign of life.

The sign of life comes from the event loop, and only while the reconcile loop comes further. A step
of that loop waits for Slurm or the database no longer than their time limits; while they are
silent its steps are long, but they end. Only a loop that has stood still for much longer hangs in
ajrd itself, and a new start is what helps.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import structlog

from ajrd.config import Config
from ajrd.sdnotify import Notify
from ajrd.vitals.parts import Leading, Parts, away_for

log = structlog.get_logger("ajrd")

#: The status line is looked at so often, seconds.
_STATUS_EVERY = 2.0
#: A loop that comes no further for so many time limits, of Slurm and database together, hangs.
_LIMITS = 20


def patience(config: Config) -> float:
    """How long the reconcile loop may stand still, seconds."""
    return _LIMITS * (config.slurm.timeout + config.database.timeout)


class Supervision:
    """:meth:`run` until cancelled."""

    def __init__(
        self, notify: Notify, parts: Parts, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._notify = notify
        self._parts = parts
        self._monotonic = monotonic
        self._is_ready = False
        self._told = ""

    async def run(self) -> None:
        """Tells while there is somebody to be told."""
        async with asyncio.TaskGroup() as tasks:
            if self._notify.address is not None:
                tasks.create_task(self._tell_status(), name="status")
            tasks.create_task(self._notify.beat(self._lives), name="beat")

    async def ready_when_looked(self) -> None:
        """The start of a leader is over when it has looked at Slurm once."""
        leading = self._parts.leading
        if leading is not None:
            await leading.recovery.looked.wait()
        self.ready()

    def ready(self) -> None:
        """The start is over; who waits for that sees a status that is true."""
        self._is_ready = True
        self._tell()
        self._notify.ready()

    def reloading(self) -> None:
        """A file has changed; one that changes during the start belongs to it."""
        if self._is_ready:
            self._notify.reloading()

    def reloaded(self) -> None:
        """The file is in use, or refused."""
        if self._is_ready:
            self.ready()

    async def _tell_status(self) -> None:
        while True:
            self._tell()
            await asyncio.sleep(_STATUS_EVERY)

    def _tell(self) -> None:
        """Nothing is said twice."""
        status = status_of(self._parts) if self._is_ready else "starts"
        if status != self._told:
            self._notify.status(status)
            self._told = status

    def _lives(self) -> bool:
        if self.hangs:
            log.error("hangs", meaning="the service manager is to start ajrd anew")
        return not self.hangs

    @property
    def hangs(self) -> bool:
        """Has the reconcile loop stood still for too long? One that stands by has none."""
        leading = self._parts.leading
        if leading is None:
            return False
        return self._monotonic() - leading.recovery.stepped > patience(self._parts.config)


def status_of(parts: Parts) -> str:
    """One line: the role, the jobs, and what does not answer."""
    role = "stands by" if parts.leading is None else _what_it_does(parts, parts.leading)
    away = []
    if parts.slurm is not None and parts.slurm.why:
        away.append("Slurm")
    if parts.store is not None and away_for(parts.store) is not None:
        away.append("the database")
    if not parts.reload_ok:
        role += "; the configuration was refused, the old one is in use"
    return f"{role}; no answer from {' and '.join(away)}" if away else role


def _what_it_does(parts: Parts, leading: Leading) -> str:
    recovery = leading.recovery
    mode = parts.config.recovery.mode.value
    return f"leads ({mode}): {len(recovery.watched)} jobs watched, {recovery.driving} recovering"
