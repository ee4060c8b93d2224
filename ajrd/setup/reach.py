"""Can the service's user read a file, or run a program? Can others put something in its place?

By what mode and owners say.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

from ajrd.errors import SetupError
from ajrd.setup.host import Host


def require_reach(host: Host, user: str, path: str, what: str, *, runs: bool = False) -> None:
    """Raises SetupError with the folder or file that is closed to the user.

    A file that is not there is somebody else's news; access control lists are not looked at.
    """
    if user == "root" or not host.path(path).exists():
        return
    wanted = {str(above): 0o1 for above in Path(path).parents} | {path: 0o5 if runs else 0o4}
    for name in sorted(wanted, key=len):
        if not _allows(host, user, host.path(name).stat(), wanted[name]):
            raise SetupError(
                f"{what} {path} is out of reach for the user {user}, because of {name}: put it"
                f" elsewhere, or: chmod o+{'rx' if runs else 'r'}, o+x for folders"
            )


def _allows(host: Host, user: str, seen: os.stat_result, wanted: int) -> bool:
    known, shift = host.user(user), 0
    if known and seen.st_uid == known.uid:
        shift = 6
    elif seen.st_gid in _groups(host, user):
        shift = 3
    return stat.S_IMODE(seen.st_mode) >> shift & wanted == wanted


def _groups(host: Host, user: str) -> set[int]:
    """Its groups; systemd gives a service all of them (initgroups)."""
    known = host.user(user)
    if known is None:
        return set()
    groups = {known.gid}
    with suppress(OSError):
        groups |= set(os.getgrouplist(user, known.gid)) if host.root == Path("/") else set()
    return groups


def written_by_others(host: Host, name: str) -> str:
    """What of a path, as it is called and as it is, others than root may write; "" if nothing."""
    root = host.root.resolve()
    inner = {root / name.lstrip("/"), host.path(name).resolve()}
    outer = {above for path in inner for above in path.parents if above.is_relative_to(root)}
    for there in sorted(inner | outer):
        if there.exists() and _others_write(there.stat(), sticky_is_safe=there not in inner):
            return f"/{there.relative_to(root)}"
    return ""


def _others_write(seen: os.stat_result, *, sticky_is_safe: bool) -> bool:
    """In a sticky folder they cannot replace what is root's, but be the first to take a name."""
    if seen.st_uid not in (0, os.geteuid()):
        return True
    kept = sticky_is_safe and bool(seen.st_mode & stat.S_ISVTX)
    return bool(seen.st_mode & 0o022) and not kept
