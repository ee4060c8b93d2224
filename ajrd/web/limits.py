"""How often somebody may ask: one token bucket each."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

#: Buckets that are remembered; the one that was not used for longest is forgotten first.
_MOST = 10_000


class Buckets:
    """``per_minute`` requests of each; so many at once when nothing was asked for a minute."""

    def __init__(self, per_minute: int, ticks: Callable[[], float] = time.monotonic) -> None:
        self._full = float(per_minute)
        self._rate = per_minute / 60
        self._ticks = ticks
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, who: str) -> float:
        """Seconds until ``who`` may ask again; 0: now."""
        return max(0.0, (1 - self._level(who)) / self._rate)

    def take(self, who: str) -> float:
        """As :meth:`wait`; if it is 0 this request is counted."""
        level = self._level(who)
        if level < 1:
            return (1 - level) / self._rate
        self._buckets[who] = (level - 1, self._ticks())
        self._buckets.move_to_end(who)
        if len(self._buckets) > _MOST:
            self._buckets.popitem(last=False)
        return 0.0

    def _level(self, who: str) -> float:
        level, at = self._buckets.get(who, (self._full, 0.0))
        return min(self._full, level + (self._ticks() - at) * self._rate)
