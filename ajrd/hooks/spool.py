"""A folder into which hooks put messages. Anybody may write there; the kernel says who did.

Only files of those who run Slurm's hooks count, and only under one name: a user could link a file
of root into the folder. What is read, or no message, is deleted where the rights reach, and else
remembered for as long as it lies there. All calls may block and raise OSError.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice

from ajrd.hooks.message import LONGEST, Message, parse

#: Entries of the folder that are looked at in one round, and files that are read.
_MOST_ENTRIES, _MOST_READ = 20_000, 2_000
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Letter:
    """A message and its file; ``written`` is when, seconds since 1970."""

    path: str
    written: float
    message: Message


class Spool:
    """Used by one thread at a time.

    ``refused`` counts what was no message of a hook, until somebody sets it back.
    """

    def __init__(self, folder: str, owners: frozenset[int]) -> None:
        self.folder = folder
        self.refused = 0
        self._owners = owners
        self._known: set[str] = set()

    def look(self) -> list[Letter]:
        """The messages that were not told before."""
        names = list(self._names())
        self._known &= set(names)
        new = [name for name in names if name not in self._known][:_MOST_READ]
        letters = []
        for name in new:
            path = os.path.join(self.folder, name)
            self._known.add(name)
            letter = self._read(path)
            if letter is None:
                self.refused += 1
                self.remove(path)
            else:
                letters.append(letter)
        return letters

    def remove(self, path: str) -> None:
        """A message that is done with; it is not told again even if it cannot be deleted."""
        with suppress(OSError):
            os.unlink(path)

    def _names(self) -> Iterator[str]:
        """A hook's own folder, in which its message comes to be, begins with a dot."""
        with os.scandir(self.folder) as entries:
            for entry in islice(entries, _MOST_ENTRIES):
                if not entry.name.startswith("."):
                    yield entry.name

    def _read(self, path: str) -> Letter | None:
        try:
            descriptor = os.open(path, _FLAGS)
        except OSError:
            return None
        try:
            seen = os.fstat(descriptor)
            message = parse(os.read(descriptor, LONGEST)) if self._is_a_hooks(seen) else None
        finally:
            os.close(descriptor)
        return Letter(path, seen.st_mtime, message) if message is not None else None

    def _is_a_hooks(self, seen: os.stat_result) -> bool:
        one = stat.S_ISREG(seen.st_mode) and seen.st_nlink == 1
        return one and seen.st_uid in self._owners
