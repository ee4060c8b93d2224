"""Who asks, and what he may: users see and steer their own jobs, operators all."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from aiohttp import web


class Way(StrEnum):
    """How it was found out who somebody is."""

    SOCKET = "socket"
    MUNGE = "munge"
    PROXY = "proxy"
    ANONYMOUS = "anonymous"


@dataclass(frozen=True, slots=True)
class Identity:
    """Somebody. ``user`` "" is nobody in particular: such a one may read at most, never steer."""

    user: str
    operator: bool
    way: Way
    reads_all: bool = False

    @property
    def sees_all(self) -> bool:
        """May he read the jobs of everybody?"""
        return self.operator or self.reads_all

    def may_see(self, owner: str) -> bool:
        """May he read the jobs of this user?"""
        return self.sees_all or (bool(self.user) and self.user == owner)

    def may_steer(self, owner: str) -> bool:
        """May he ask for something to be done to a job of this user?"""
        return bool(self.user) and (self.operator or self.user == owner)


#: Where the middleware that finds it out leaves it: every handler behind it has one.
IDENTITY = web.RequestKey("identity", Identity)
