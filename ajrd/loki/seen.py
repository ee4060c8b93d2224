"""What was read before: every sweep reads a stretch again that earlier ones have read."""

from __future__ import annotations

from dataclasses import dataclass, field

#: Entries remembered. One that is forgotten too early is judged again, and kept only once anyway.
MOST = 200_000


@dataclass(slots=True)
class Seen:
    """Names of entries by attempt, the oldest of which are forgotten first."""

    most: int = MOST
    _known: dict[tuple[int, bytes], None] = field(default_factory=dict)

    def __contains__(self, key: tuple[int, bytes]) -> bool:
        return key in self._known

    def add(self, attempt: int, name: bytes) -> None:
        """The entry was judged for this attempt."""
        self._known[attempt, name] = None
        if len(self._known) > self.most:
            del self._known[next(iter(self._known))]

    def discard(self, attempt: int, name: bytes) -> None:
        """It has to be judged again."""
        self._known.pop((attempt, name), None)

    def forget(self, attempt: int) -> None:
        """The attempt is of no interest any more, or will be looked at anew."""
        self._known = {key: None for key in self._known if key[0] != attempt}
