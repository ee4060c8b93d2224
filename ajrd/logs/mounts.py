"""Which mount a path lies on, told without touching the mount.

``/proc/self/mountinfo`` (proc(5)) answers from the kernel's memory even when a file server has
gone silent, so the thread that may hang on it can be chosen before anything is opened.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

#: File systems whose changes inotify sees completely: nobody else writes to them.
LOCAL = frozenset({"ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "zfs", "tmpfs", "overlay"})
#: File systems whose client asks its server for news only when a file is opened.
CLOSE_TO_OPEN = frozenset({"nfs", "nfs4", "cifs", "smb3", "9p"})
#: Symlinks followed before a path counts as a loop (path_resolution(7)).
MAX_LINKS = 40


@dataclass(frozen=True, slots=True)
class Mount:
    """A mount point and the type of its file system."""

    point: str
    fstype: str

    @property
    def local(self) -> bool:
        """True if inotify tells of every write."""
        return self.fstype in LOCAL

    @property
    def reopen(self) -> bool:
        """True if a file must be opened again to see what others wrote."""
        return self.fstype in CLOSE_TO_OPEN


def parse_mountinfo(text: str) -> dict[str, Mount]:
    """Mounts by their point; of several on one point the last hides the others."""
    mounts = {}
    for line in text.splitlines():
        head, _, tail = line.partition(" - ")
        point = _unescape(head.split(" ")[4])
        mounts[point] = Mount(point, tail.split(" ")[0])
    return mounts


def _unescape(text: str) -> str:
    """Space, tab, newline and backslash are written as octal escapes."""
    for code, char in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, char)
    return text


def _read_mountinfo() -> str:
    return Path("/proc/self/mountinfo").read_text(errors="surrogateescape")


class Mounts:
    """The mount table, read again when it is older than ``max_age`` seconds."""

    def __init__(self, read: Callable[[], str] = _read_mountinfo, max_age: float = 5.0) -> None:
        self._read = read
        self._max_age = max_age
        self._table: dict[str, Mount] = {}
        self._read_at = float("-inf")

    def of(self, path: str) -> Mount:
        """The mount of an absolute path as it is written: symlinks are not followed."""
        if time.monotonic() - self._read_at > self._max_age:
            self._table, self._read_at = parse_mountinfo(self._read()), time.monotonic()
        where = os.path.normpath(path)
        while where not in self._table and where != os.path.dirname(where):
            where = os.path.dirname(where)
        return self._table.get(where, Mount("/", ""))

    def walk(self, path: str) -> tuple[str, bool]:
        """Follows the symlinks of ``path`` as far as its own mount goes.

        Returns a path and True if it is the real one, or False if it leads to another mount,
        on which the walk must be taken up by whoever may wait for that mount. Raises OSError.
        """
        home = self.of(path)
        done, rest = "/", [part for part in path.split("/") if part]
        links = 0
        while rest:
            here = os.path.normpath(os.path.join(done, rest.pop(0)))
            there = "/".join([here, *rest])
            if self.of(here) != home and len(here) > len(home.point):
                return there, False
            target = _link(here)
            if target is None:
                done = here
                continue
            links += 1
            if links > MAX_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
            path = "/".join([os.path.join(done, target), *rest])
            if self.of(path) != home:
                return path, False
            done, rest = "/", [part for part in path.split("/") if part]
        return done, True


def _link(path: str) -> str | None:
    """Where a symlink points; None for anything else, also for what does not exist."""
    try:
        return os.readlink(path)
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.ENOENT, errno.ENOTDIR):
            return None
        raise
