"""The vital signs of the running service: the daemon tells them what it has.

Besides what others are seen to do, it does two things by itself: it feels how late the event loop
is, and it asks Slurm for a sign of life while nobody else does: in a process that stands by, and
between two looks that lie far apart.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import datetime

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector

from ajrd.config import Config
from ajrd.errors import SlurmRejected, SlurmUnavailable
from ajrd.journal import Recent
from ajrd.judgement import Judgement
from ajrd.recovery.loop import Recovery
from ajrd.slurm.base import Slurm
from ajrd.vitals.counts import Counts
from ajrd.vitals.parts import Leading, Parts
from ajrd.vitals.signs import Signs
from ajrd.vitals.slurm import MeteredSlurm
from ajrd.vitals.store import MeteredStore

#: Seconds between two beats by which the lag of the event loop is felt.
BEAT = 1.0
#: Slurm is asked so often whether it is there, seconds.
ASK_EVERY = 10.0


class Vitals:
    """The metrics of this process; ``parts`` is what :class:`ajrd.vitals.view.View` looks at."""

    def __init__(self, config: Config, clock: Callable[[], datetime]) -> None:
        self.registry = CollectorRegistry()
        self.counts = Counts(self.registry)
        self.parts = Parts(config, clock, clock())
        self.registry.register(Signs(self.parts))
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self.registry)

    @property
    def recent(self) -> Recent:
        """Remembers the newest warnings; to be among the processors of the log."""
        return self.parts.recent

    # what the daemon tells

    def watch(self, store: MeteredStore, slurm: Slurm, judgement: Judgement) -> MeteredSlurm:
        """The parts that every process has; gives the Slurm to be used in place of ``slurm``."""
        store.count_by(self.counts)
        metered = MeteredSlurm(slurm, self.counts, self.parts.clock)
        parts = self.parts
        parts.store, parts.slurm, parts.judgement = store, metered, judgement
        return metered

    def leads(self, recovery: Recovery, beside: Iterable[object]) -> None:
        """This process acts from now on; ``beside`` as of :class:`~ajrd.vitals.parts.Leading`."""
        self.parts.leading = Leading.of(recovery, beside)

    def stands_by(self) -> None:
        """It acts no more."""
        self.parts.leading = None

    def reloaded(self, config: Config | None) -> None:
        """A new configuration is in use; None: it was refused."""
        self.parts.reload_ok = config is not None
        self.counts.reloads.labels("ok" if config else "refused").inc()
        if config is not None:
            self.parts.config = config

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._feel_the_loop(), name="beat")
            tasks.create_task(self._ask_slurm(), name="sign of life")

    async def _feel_the_loop(self) -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(BEAT)
            self.counts.loop_lag.observe(max(time.monotonic() - before - BEAT, 0.0))

    async def _ask_slurm(self) -> None:
        while True:
            slurm = self.parts.slurm
            if slurm is not None and self._nobody_asks(slurm):
                with suppress(SlurmUnavailable, SlurmRejected):
                    await slurm.cluster()
            await asyncio.sleep(ASK_EVERY)

    def _nobody_asks(self, slurm: MeteredSlurm) -> bool:
        """A leader asks by itself; it must not have to wait behind us for a Slurm that hangs."""
        if self.parts.leading is None:
            return True
        return slurm.up and slurm.silence >= ASK_EVERY
