"""Opening log files with the rights of the job's owner, and nothing but regular files.

Users choose the names of log files, so the kernel must judge each name as if they had opened it
themselves: a symlink to a file of root is refused, a folder that only they may enter can be
entered. Only the calling thread changes its rights, and only around calls that resolve a path.

That takes root, or a user with CAP_SETUID and CAP_SETGID (capabilities(7)). The kernel takes a
thread's rights over all files away when its fsuid leaves 0, and at no other change: a user other
than root must not have them at all.
"""

from __future__ import annotations

import ctypes
import functools
import os
import platform
import pwd
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from ajrd.model import LogFile

_libc = ctypes.CDLL(None, use_errno=True)
#: glibc's setgroups() changes all threads of a process; the bare system call changes one
#: (nptl(7), "C library/kernel differences").
_SYS_SETGROUPS = {"x86_64": 116, "aarch64": 159}.get(platform.machine())
#: linux/capability.h: the numbers of capabilities, and the version of capget(2) with two words.
_SETGID, _SETUID = 1 << 6, 1 << 7
_OVER_FILES = {"CAP_DAC_OVERRIDE": 1 << 1, "CAP_DAC_READ_SEARCH": 1 << 2}
_CAPABILITY_VERSION = 0x20080522
#: sys/prctl.h.
_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 47, 4
_AT_EMPTY_PATH, _STATX_BTIME, _BTIME_AT = 0x1000, 0x800, 80
#: A FIFO or device must never block, become a terminal, or leak into a child.
_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class Files(Protocol):
    """The file system as the tailer sees it. All calls may block, and raise OSError."""

    def stat(self, file: LogFile) -> os.stat_result:
        """What the path now leads to."""

    def open(self, file: LogFile) -> int:
        """A descriptor for reading a regular file."""

    def find_inode(self, file: LogFile, inode: int) -> str | None:
        """The path of another file in the same folder that has this inode: a rotated log."""


class OwnerFiles:
    """The real file system, with the rights of each file's owner."""

    def stat(self, file: LogFile) -> os.stat_result:
        """Follows symlinks as the owner."""
        with as_owner(file.uid, file.gid):
            return os.stat(file.path)

    def open(self, file: LogFile) -> int:
        """Symlinks are followed: the kernel judges them as the owner.

        The path is looked at before it is opened, because opening alone does something to a
        FIFO (it lets a writer go on) and to some devices.
        """
        with as_owner(file.uid, file.gid):
            _require_regular(os.stat(file.path), file.path)
            descriptor = os.open(file.path, _FLAGS)
        try:
            _require_regular(os.fstat(descriptor), file.path)
        except OSError:
            os.close(descriptor)
            raise
        return descriptor

    def find_inode(self, file: LogFile, inode: int) -> str | None:
        """Looks at no more than 20,000 entries."""
        with as_owner(file.uid, file.gid), os.scandir(os.path.dirname(file.path) or ".") as entries:
            for _, entry in zip(range(20_000), entries, strict=False):
                if entry.inode() == inode and entry.is_file(follow_symlinks=False):
                    return entry.path
        return None


@contextmanager
def as_owner(uid: int, gid: int) -> Iterator[None]:
    """The calling thread acts on files as ``uid``:``gid`` with that user's groups.

    For root's own files nothing changes, and neither for a service that may not act as others: the
    kernel then judges by the rights that the service has. Raises PermissionError if the change
    did not take effect.
    """
    if uid == 0 or not _may_act_as_others():
        yield
        return
    groups, own = os.getgroups(), (os.geteuid(), os.getegid())
    try:
        _set_groups(_groups_of(uid, gid))
        _set_ids(uid, gid)
        yield
    finally:
        _set_ids(*own)
        _set_groups(tuple(groups))


def keep_rights_from_children() -> None:
    """Commands that the service starts get none of its capabilities.

    To be called before the first thread starts; prctl(2), PR_CAP_AMBIENT.
    """
    _libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)


def _may_act_as_others() -> bool:
    """Root may, and who has both capabilities; PermissionError for one who has too many."""
    if os.geteuid() == 0:
        return True
    effective = _effective()
    if effective & (_SETUID | _SETGID) != _SETUID | _SETGID:
        return False
    over = [name for name, bit in _OVER_FILES.items() if effective & bit]
    if over:
        raise PermissionError(
            f"ajrd would open every file as user {os.geteuid()} with {', '.join(over)};"
            " take that out of the unit's AmbientCapabilities="
        )
    return True


def _effective() -> int:
    """The effective capabilities of the calling thread, capget(2): the low word."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
    data = (ctypes.c_uint32 * 6)()
    return 0 if _libc.capget(header, data) else data[0]


def _set_ids(uid: int, gid: int) -> None:
    """setfsuid(2) tells nothing: the value is read back by a call that cannot succeed.

    The group comes first when root gives rights away, and last when it takes them back.
    """
    calls = [(_libc.setfsgid, gid), (_libc.setfsuid, uid)]
    for call, wanted in calls if uid else reversed(calls):
        call(wanted)
        if call(-1) != wanted:
            raise PermissionError(f"{call.__name__}({wanted}) was refused; see docs/operations.md")


def _set_groups(groups: tuple[int, ...]) -> None:
    if _SYS_SETGROUPS is None:
        raise PermissionError(f"no setgroups for a single thread is known on {platform.machine()}")
    array = (ctypes.c_uint32 * len(groups))(*groups)
    if _libc.syscall(_SYS_SETGROUPS, len(groups), array) != 0:
        raise PermissionError(f"setgroups was refused: {os.strerror(ctypes.get_errno())}")


@functools.lru_cache(maxsize=4096)
def _groups_of(uid: int, gid: int) -> tuple[int, ...]:
    """The groups of a user; one that the name service does not know has only its own."""
    try:
        return tuple(os.getgrouplist(pwd.getpwuid(uid).pw_name, gid))
    except KeyError:
        return (gid,)


def _require_regular(seen: os.stat_result, path: str) -> None:
    """Files of /proc and /sys count as regular there; /proc/self would be ajrd's own."""
    if not stat.S_ISREG(seen.st_mode):
        raise OSError(f"{path} is not a regular file; ajrd reads no other")
    if seen.st_dev in _pseudo_devices():
        raise OSError(f"{path} lies in /proc or /sys; ajrd reads no logs there")


@functools.cache
def _pseudo_devices() -> frozenset[int]:
    folders = ("/proc", "/sys")
    return frozenset(os.stat(folder).st_dev for folder in folders if os.path.ismount(folder))


def birth_time(descriptor: int) -> float | None:
    """When the file was made, seconds since the epoch; None if its file system cannot tell.

    Python has no statx(2) on Linux; the offset is that of ``stx_btime`` in ``struct statx``.
    """
    buffer = ctypes.create_string_buffer(256)
    failed = _libc.statx(descriptor, b"", _AT_EMPTY_PATH, _STATX_BTIME, buffer)
    (mask,) = struct.unpack_from("=I", buffer)
    if failed or not mask & _STATX_BTIME:
        return None
    seconds, nanoseconds = struct.unpack_from("=qI", buffer, _BTIME_AT)
    return float(seconds + nanoseconds / 1e9)
