"""Keeps a database that is away from costing its time limit at every call.

After a failure all calls fail at once for a moment; then one call is let through to try, and the
others go on failing until it has come back with an answer.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from ajrd.errors import StoreUnavailable

#: Seconds between a failure and the next try.
REST = 0.5


class Breaker:
    """``away_since``: when the first failure after the last success was seen (monotonic, s)."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._next_try = -math.inf
        self._why = ""
        self.away_since: float | None = None

    def let_through(self) -> None:
        """Raises StoreUnavailable while the database rests or another call tries it."""
        if self.away_since is None:
            return
        if self._clock() < self._next_try:
            raise StoreUnavailable(f"the database is away: {self._why}")
        self._next_try = math.inf

    def failed(self, why: str) -> None:
        """The database did not answer."""
        now = self._clock()
        if self.away_since is None:
            self.away_since = now
        self._why, self._next_try = why, now + REST

    def answered(self) -> None:
        """The database is there."""
        self.away_since = None

    def broken_off(self) -> None:
        """The call was cancelled and has learnt nothing: the next one may try."""
        self._next_try = -math.inf
