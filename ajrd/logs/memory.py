"""What the running service remembers of a path beyond the attempts that wrote there.

The store knows how far an attempt was read; only the process that read it knows that this was
its end, and when the path was truncated. Both help to tell an appended log from a new one.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

#: Paths remembered; the longest unused are forgotten first.
LIMIT = 8192


@dataclass(slots=True)
class Trace:
    """``drained``: modification time of the file, ns, at the end of each attempt."""

    truncated_at: float | None = None
    drained: dict[int, int] = field(default_factory=dict)


class PathMemory:
    """Traces by path, a bounded number of them."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._traces: OrderedDict[str, Trace] = OrderedDict()

    def of(self, path: str) -> Trace:
        """The trace of a path, empty if nothing is known."""
        return self._traces.get(path) or Trace()

    def truncated(self, path: str, at: float) -> None:
        """The path was seen truncated or replaced; seconds since the epoch."""
        self._touch(path).truncated_at = at

    def drained(self, path: str, attempt: int, mtime_ns: int) -> None:
        """The attempt was read to its end."""
        self._touch(path).drained[attempt] = mtime_ns

    def _touch(self, path: str) -> Trace:
        trace = self._traces.setdefault(path, Trace())
        self._traces.move_to_end(path)
        while len(self._traces) > self._limit:
            self._traces.popitem(last=False)
        return trace
