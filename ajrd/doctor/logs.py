"""Reading the logs of jobs: as their owners, told of changes, from mounts that answer."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ajrd.config import Config
from ajrd.doctor.check import Check, Finding, Group, Look, NotAsked, fail, ok, skip, warn
from ajrd.doctor.files import Node, node
from ajrd.doctor.tools import in_thread, service_pid
from ajrd.logs.lanes import Lanes
from ajrd.logs.mounts import parse_mountinfo

#: Capabilities by which a log is opened as its owner, by their numbers (capabilities(7)).
NEEDED = {"CAP_SETGID": 6, "CAP_SETUID": 7}
#: Folders that are watched, and users of inotify, at least.
WATCHES, INSTANCES = 65536, 128
#: File systems of other hosts, besides all fuse.*; seconds for one to answer; how many are asked.
REMOTE = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "9p", "lustre", "gpfs", "beegfs", "ceph", "panfs", "wekafs"}
)
ANSWER, MOST = 3.0, 64


async def report_dir(look: Look) -> Node:
    """Where the step hook reports log files."""
    folder = look.config.logs.report_dir
    if not folder:
        raise NotAsked("logs.report_dir is not set")
    return await in_thread(lambda: node(folder))


def judge_report_dir(found: Node, _config: Config) -> Finding:
    """As /tmp: all may write, none may take away what is another's."""
    mend = f"install -d -m 1777 {found.word}"
    if found.error:
        return fail(f"{found.path}: {found.error}", mend)
    mode = stat.S_IMODE(found.mode)
    if not stat.S_ISDIR(found.mode):
        return fail(f"{found.path} is no folder", f"rm {found.word} && {mend}")
    if mode & 0o1777 != 0o1777:
        said = f"{found.path} has mode {mode:04o}, not 1777"
        return fail(said, mend) if mode & stat.S_IWOTH else warn(said, mend)
    return ok(f"{found.path} has mode 1777")


@dataclass(frozen=True, slots=True)
class Powers:
    """The effective capabilities of a process, and whether it is the service."""

    effective: int
    service: bool


async def powers(look: Look) -> Powers:
    """Those of the service if it runs here, else of whoever asks."""
    if not look.config.logs.files:
        raise NotAsked("logs.files is off")
    pid = await look.once(service_pid)
    path = Path(f"/proc/{pid or 'self'}/status")
    found = re.search(r"^CapEff:\s*([0-9a-f]+)", await in_thread(path.read_text), re.MULTILINE)
    return Powers(int(found[1], 16) if found else 0, pid is not None)


def judge_powers(found: Powers, _config: Config) -> Finding:
    """Without them only the logs of the service's own user can be read."""
    missing = [name for name, bit in NEEDED.items() if not found.effective >> bit & 1]
    who = "the service" if found.service else "whoever asks (the service does not run here)"
    if not missing:
        return ok(f"{who} may open logs as their owners")
    said = f"{who} lacks {', '.join(missing)}: logs of others cannot be read"
    mend = f"systemctl edit ajrd  # [Service] AmbientCapabilities={' '.join(NEEDED)}"
    return fail(said, mend) if found.service else warn(said, "sudo ajrd doctor")


async def inotify(_look: Look) -> Mapping[str, int]:
    """The kernel's limits."""
    folder = Path("/proc/sys/fs/inotify")
    names = ("max_user_watches", "max_user_instances")
    return await in_thread(lambda: {name: int((folder / name).read_text()) for name in names})


def judge_inotify(found: Mapping[str, int], _config: Config) -> Finding:
    """Where inotify has no room, files are looked at in turns: later, not never."""
    least = {"max_user_watches": WATCHES, "max_user_instances": INSTANCES}
    said = ", ".join(f"{name}={value}" for name, value in found.items())
    low = [f"fs.inotify.{name}={least[name]}" for name in found if found[name] < least[name]]
    return warn(f"little: {said}", f"sysctl -w {' '.join(low)}") if low else ok(said)


@dataclass(frozen=True, slots=True)
class Remotes:
    """Mounts of other hosts that answered, and that did not in time."""

    answered: tuple[str, ...]
    silent: tuple[str, ...]


async def mounts(_look: Look) -> Remotes:
    """Each is asked in a thread of its own."""
    text = await in_thread(Path("/proc/self/mountinfo").read_text)
    return await ask_mounts(text, os.statvfs)


async def ask_mounts(mountinfo: str, statvfs: Callable[[str], object]) -> Remotes:
    """The first :data:`MOST` of them; an error is an answer."""
    table = parse_mountinfo(mountinfo).values()
    points = [each.point for each in table if _is_remote(each.fstype)][:MOST]
    lanes = Lanes("doctor")

    async def answers(point: str) -> bool:
        try:
            await lanes.run(point, lambda: statvfs(point), ANSWER)
        except TimeoutError:
            return False
        except OSError:
            return True
        return True

    told = list(zip(points, await asyncio.gather(*map(answers, points)), strict=True))
    lanes.stop()
    return Remotes(
        tuple(point for point, there in told if there),
        tuple(point for point, there in told if not there),
    )


def _is_remote(fstype: str) -> bool:
    return fstype in REMOTE or fstype.startswith("fuse.")


def judge_mounts(found: Remotes, _config: Config) -> Finding:
    """A job whose logs lie on one that hangs is not protected until it answers."""
    if found.silent:
        first = shlex.quote(found.silent[0])
        said = f"{', '.join(found.silent)} did not answer within {ANSWER:g} s"
        return warn(f"{said}: logs there are not read", f"timeout 10 stat -f {first}; dmesg | tail")
    if not found.answered:
        return skip("nothing of another host is mounted")
    return ok(f"{len(found.answered)} mounts of other hosts answer")


_G = Group.LOGS
CHECKS: tuple[Check[Any], ...] = (
    Check("report-dir", _G, "logs.report_dir", report_dir, judge_report_dir, "ajrd config check"),
    Check("as-owner", _G, "may logs be opened as their owners", powers, judge_powers, "id"),
    Check("inotify", _G, "the kernel's limits", inotify, judge_inotify, "sysctl fs.inotify", False),
    Check("mounts", _G, "do mounts of other hosts answer", mounts, judge_mounts, "df -h", False),
)
