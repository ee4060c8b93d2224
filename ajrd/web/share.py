"""Whoever reads gets half of the event loop's time, however many read however often.

The other half is for what the process is there for: logs, decisions, the lease. Pages that are
open redraw themselves whenever something happens, which is when recovery has most to do.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

#: Of the time of the loop's thread; seconds of it that may be used at once after a rest.
SHARE, BURST = 0.5, 1.0
#: Requests that are answered at once; others wait for their turn.
_AT_ONCE = 4
#: What takes no time, must not wait, or never ends.
_FREE = ("/healthz", "/readyz", "/metrics", "/api/v1/stream")


@dataclass(slots=True)
class Share:
    """``ticks`` is time as it passes, ``worked`` that for which this thread has worked, s."""

    ticks: Callable[[], float] = time.monotonic
    worked: Callable[[], float] = time.thread_time
    _turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_AT_ONCE))
    _running: int = 0
    _left: float = BURST
    _filled: float = 0.0
    _counted: float = 0.0

    def middleware(self) -> Middleware:
        """As aiohttp takes it."""

        @web.middleware
        async def in_turn(request: web.Request, handler: Handler) -> web.StreamResponse:
            if request.method not in ("GET", "HEAD") or request.path.endswith(_FREE):
                return await handler(request)
            async with self.turn():
                return await handler(request)

        return in_turn

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Waits until there is time left; what is done meanwhile is taken from it."""
        async with self._turns:
            if (wait := self._wait()) > 0:
                await asyncio.sleep(wait)
            if not self._running:
                self._counted = self.worked()
            self._running += 1
            try:
                yield
            finally:
                self._running -= 1
                now = self.worked()
                self._left -= now - self._counted
                self._counted = now

    def _wait(self) -> float:
        """Seconds until something is left; 0: now."""
        now = self.ticks()
        self._left = min(BURST, self._left + (now - self._filled) * SHARE)
        self._filled = now
        return max(0.0, -self._left / SHARE)
