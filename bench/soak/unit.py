"""A process that is started again whenever it ends, as its systemd unit would."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

#: Seconds between an end and the next start (RestartSec of the unit).
RESTART = 2.0
#: Seconds for an orderly end.
PATIENCE = 30.0


class Unit:
    """One supervised process; :meth:`keep` runs until cancelled and ends it then."""

    def __init__(self, name: str, argv: Sequence[str], log: Path) -> None:
        self.name = name
        self.log = log
        self._argv = argv
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int | None:
        """The process of this moment."""
        running = self._process is not None and self._process.returncode is None
        return self._process.pid if running and self._process else None

    def tell(self, number: signal.Signals) -> None:
        """Sends a signal, if it runs."""
        if self._process is not None and self.pid is not None:
            self._process.send_signal(number)

    async def keep(self) -> None:
        """Starts it again and again."""
        try:
            while True:
                with self.log.open("ab") as output:
                    self._process = await asyncio.create_subprocess_exec(
                        *self._argv,
                        stdin=asyncio.subprocess.DEVNULL,
                        stdout=output,
                        stderr=output,
                        start_new_session=True,
                    )
                await self._process.wait()
                await asyncio.sleep(RESTART)
        finally:
            await self._end()

    async def _end(self) -> None:
        self.tell(signal.SIGTERM)
        self.tell(signal.SIGCONT)
        if self._process is None:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                await self._process.wait()
        self.tell(signal.SIGKILL)
        await self._process.wait()
