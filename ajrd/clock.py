"""The clocks of the service.

An administrator or NTP may set a head node's clock by an hour. What ajrd waits for must not
change by that, nor may a lease seem valid because time went backwards.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta


def ticks() -> float:
    """Seconds since the host was started, sleep of the host included; never set by anybody."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def wall() -> datetime:
    """The host's clock."""
    return datetime.now(UTC)


class SteadyClock:
    """Time of day that does not jump: the host's clock at the start, carried on by its ticks."""

    def __init__(
        self, read: Callable[[], datetime] = wall, tick: Callable[[], float] = ticks
    ) -> None:
        self._tick = tick
        self._start, self._started_at = read(), tick()

    def __call__(self) -> datetime:
        """The time now, aware, in UTC."""
        return self._start + timedelta(seconds=self._tick() - self._started_at)
