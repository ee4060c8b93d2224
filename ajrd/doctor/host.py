"""The host: what Python, the kernel and systemd give the service."""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import resource
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ajrd.config import Config
from ajrd.doctor.check import Check, Finding, Group, Look, NotAsked, fail, ok, warn
from ajrd.doctor.tools import UNIT, Unit, in_thread, service_pid, service_unit, told_by

#: The oldest Python, and the oldest glibc for which hyperscan has a wheel (manylinux_2_28).
PYTHON, GLIBC = (3, 11), (2, 28)
#: Open files; bytes of memory that is available.
FILES, NO_MEMORY, LITTLE_MEMORY = 4096, 256 << 20, 1 << 30


async def python(_look: Look) -> tuple[int, int, int]:
    """The version that runs this."""
    return sys.version_info[:3]


def judge_python(found: tuple[int, int, int], _config: Config) -> Finding:
    """3.11 or newer."""
    said = f"Python {'.'.join(map(str, found))}"
    if found[:2] < PYTHON:
        return fail(f"{said}; ajrd needs 3.11 or newer", "apt-get install python3.11")
    return ok(said)


@dataclass(frozen=True, slots=True)
class Libraries:
    """The C library, and whether the fast matcher is installed."""

    libc: str
    version: str
    hyperscan: bool


async def libraries(_look: Look) -> Libraries:
    """Without importing any."""
    name, version = await in_thread(platform.libc_ver)
    return Libraries(name, version, importlib.util.find_spec("hyperscan") is not None)


def judge_libraries(found: Libraries, _config: Config) -> Finding:
    """Without hyperscan the rules run on RE2, slower."""
    said = f"{found.libc or 'unknown libc'} {found.version}".strip()
    numbers = tuple(int(part) for part in re.findall(r"\d+", found.version)[:2])
    if found.hyperscan:
        return ok(f"{said}, hyperscan")
    if found.libc == "glibc" and numbers < GLIBC:
        return warn(f"{said}: too old for hyperscan, matching is slower", "ajrd --version")
    return warn(f"{said}, no hyperscan: matching is slower", "pip install hyperscan")


async def units(look: Look) -> Unit:
    """The service's unit; raises NotAsked without systemd."""
    return await look.once(service_unit)


def judge_units(found: Unit, _config: Config) -> Finding:
    """Installed and active."""
    if not found.loaded:
        return warn(
            f"{UNIT} is not installed",
            "install -m 0644 systemd/ajrd.service /etc/systemd/system/ && systemctl daemon-reload",
        )
    if found.active in ("active", "reloading"):
        return ok(f"{UNIT} is {found.active}")
    mend = "systemctl enable --now ajrd; systemctl status ajrd"
    if found.active == "failed":
        return fail(f"{UNIT} has failed", mend)
    return warn(f"{UNIT} is {found.active or 'unknown'}", mend)


async def time_sync(_look: Look) -> bool:
    """By timedatectl, else chronyc; raises NotAsked if neither can tell."""
    with suppress(NotAsked):
        done = await told_by("timedatectl", "show", "--property=NTPSynchronized", "--value")
        if done.code == 0 and done.out.strip() in ("yes", "no"):
            return done.out.strip() == "yes"
    with suppress(NotAsked):
        done = await told_by("chronyc", "-n", "tracking")
        if done.code == 0:
            return "Leap status     : Normal" in done.out
    raise NotAsked("neither timedatectl nor chronyc can tell")


def judge_time_sync(found: bool, _config: Config) -> Finding:
    """Clocks that are set by somebody do not drift apart."""
    if found:
        return ok("the clock is synchronised")
    return warn("the clock is not synchronised", "timedatectl set-ntp true")


@dataclass(frozen=True, slots=True)
class Files:
    """The limit of open files, of the service or of whoever asks."""

    soft: int
    service: bool


async def files(look: Look) -> Files:
    """proc_pid_limits(5)."""
    pid = None if look.error else await look.once(service_pid)
    if pid is None:
        return Files(resource.getrlimit(resource.RLIMIT_NOFILE)[0], service=False)
    text = await in_thread(Path(f"/proc/{pid}/limits").read_text)
    found = re.search(r"^Max open files\s+(\d+|unlimited)", text, re.MULTILINE)
    if found is None:
        raise NotAsked("the kernel does not tell the limits of the service")
    return Files(sys.maxsize if found[1] == "unlimited" else int(found[1]), service=True)


def judge_files(found: Files, _config: Config) -> Finding:
    """Each log and each open page needs one."""
    who = "the service" if found.service else "whoever asks"
    said = f"{who} may open {found.soft} files"
    if found.soft >= FILES or not found.service:
        return ok(said)
    return warn(said, "systemctl edit ajrd  # [Service] LimitNOFILE=65536")


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes: available on the host, and what the service has; None: it does not run here."""

    available: int
    service: int | None


async def memory(look: Look) -> Memory:
    """proc_meminfo(5), proc_pid_statm(5)."""
    text = await in_thread(Path("/proc/meminfo").read_text)
    found = re.search(r"^MemAvailable:\s+(\d+) kB", text, re.MULTILINE)
    if found is None:
        raise NotAsked("the kernel does not tell MemAvailable")
    pid, used = None if look.error else await look.once(service_pid), None
    if pid is not None:
        pages = (await in_thread(Path(f"/proc/{pid}/statm").read_text)).split()[1]
        used = int(pages) * os.sysconf("SC_PAGE_SIZE")
    return Memory(int(found[1]) << 10, used)


def judge_memory(found: Memory, _config: Config) -> Finding:
    """The catalogue alone takes some 200 MiB."""
    said = f"{found.available >> 20} MiB are available"
    said += "" if found.service is None else f", the service has {found.service >> 20} MiB"
    mend = "ps -eo pid,rss,comm --sort=-rss | head"
    if found.available < NO_MEMORY:
        return fail(said, mend)
    return warn(said, mend) if found.available < LITTLE_MEMORY else ok(said)


_G = Group.HOST
CHECKS: tuple[Check[Any], ...] = (
    Check("python", _G, "Python's version", python, judge_python, "python3 --version", False),
    Check("libraries", _G, "glibc, hyperscan", libraries, judge_libraries, "ldd --version", False),
    Check("unit", _G, "ajrd.service", units, judge_units, "systemctl status ajrd", False),
    Check("time-sync", _G, "is the clock synchronised", time_sync, judge_time_sync,
          "timedatectl status", False),
    Check("open-files", _G, "RLIMIT_NOFILE", files, judge_files, "ulimit -n", False),
    Check("memory", _G, "memory that is available", memory, judge_memory, "free -m", False),
)  # fmt: skip
