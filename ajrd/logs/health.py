"""How reading from files goes: for metrics, and for whoever wants to know what is not protected."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class ReadCounts:
    """What was read since the service began to read."""

    bytes: int = 0
    lines: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class FilesHealth:
    """All files of running attempts at one moment.

    ``waiting`` do not exist yet, ``unreadable`` cannot be read, ``uncertain`` were begun at a
    guessed place. ``lag`` (s) is the time since the readable one that was left alone longest was
    last read to its end. ``unkept`` findings wait for the store. ``given_up`` attempts were not
    searched completely. ``why`` is one of the troubles.
    """

    followed: int = 0
    waiting: int = 0
    unreadable: int = 0
    uncertain: int = 0
    lag: float = 0.0
    unkept: int = 0
    bytes: int = 0
    lines: int = 0
    given_up: int = 0
    why: str = ""
