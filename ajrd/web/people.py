"""Names and groups of users, as the host knows them.

The host may have to ask a directory server, so questions go through threads of their own, have a
time limit, and answers are kept for some minutes.
"""

from __future__ import annotations

import asyncio
import grp
import os
import pwd
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from ajrd.errors import AjrdError

T = TypeVar("T")
#: Seconds for which an answer holds, and for one question; answers that are kept.
_HOLDS, _TIMEOUT, _MOST = 300.0, 5.0, 4096
#: The same where nobody is known: a directory server that is away is told as that, too.
_UNKNOWN_HOLDS = 5.0


class PeopleUnavailable(AjrdError):
    """The host's user database did not answer in time."""


@dataclass(frozen=True, slots=True)
class Person:
    """A user of the host; ``groups`` are the names of all of his groups."""

    name: str
    groups: frozenset[str]


class People:
    """Answers who has a number or a name; None: the host knows nobody of that."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="ajrd-people")
        self._known: dict[int | str, tuple[float, Person | None]] = {}

    def close(self) -> None:
        """Waits for nobody."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def by_uid(self, uid: int) -> Person | None:
        """The user with this number; raises PeopleUnavailable."""
        return await self._ask(uid, lambda: pwd.getpwuid(uid))

    async def by_name(self, name: str) -> Person | None:
        """The user with this name; raises PeopleUnavailable."""
        return await self._ask(name, lambda: pwd.getpwnam(name))

    async def _ask(self, who: int | str, entry: Callable[[], pwd.struct_passwd]) -> Person | None:
        until, person = self._known.get(who, (0.0, None))
        if time.monotonic() < until:
            return person
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_TIMEOUT):
                person = await loop.run_in_executor(self._threads, _person, entry)
        except TimeoutError:
            raise PeopleUnavailable(f"the host did not tell who {who} is in time") from None
        if len(self._known) >= _MOST:
            self._known.clear()
        holds = _HOLDS if person else _UNKNOWN_HOLDS
        self._known[who] = (time.monotonic() + holds, person)
        return person


def _person(entry: Callable[[], pwd.struct_passwd]) -> Person | None:
    try:
        found = entry()
    except KeyError:
        return None
    numbers = os.getgrouplist(found.pw_name, found.pw_gid)
    return Person(found.pw_name, frozenset(name for name in map(_group, numbers) if name))


def _group(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return ""
