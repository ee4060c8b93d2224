"""The three programs that are compared, and how one run of one is measured."""

from __future__ import annotations

import os
import re
import resource
import shutil
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ajrd.detect.catalogue import Catalogue
from ajrd.detect.pattern import groupless


@dataclass(frozen=True, slots=True)
class Run:
    """Seconds of wall clock and processor, and the peak of memory in MB."""

    wall: float
    cpu: float
    memory: float


def commands(catalogue: Catalogue, folder: Path) -> dict[str, list[str]]:
    """Name and command line of each program that is here; the log's path is to be appended."""
    patterns = [groupless(p) for rule in catalogue.rules for p in rule.patterns]
    rg_file, grep_file = folder / "patterns.rg", folder / "patterns.grep"
    rg_file.write_text("\n".join(patterns) + "\n")
    grep_file.write_text("\n".join(map(extended, patterns)) + "\n")
    found = {"ajrd scan": [sys.executable, "-m", "ajrd", "scan", "--json"]}
    if rg := shutil.which("rg"):
        size = ["--dfa-size-limit=1G", "--regex-size-limit=1G"]
        found["ripgrep"] = [rg, "-j1", *size, "-a", "-i", "-c", "-f", str(rg_file)]
    if grep := shutil.which("grep"):
        found["GNU grep"] = [grep, "-a", "-i", "-c", "-E", "-f", str(grep_file)]
    return found


def extended(pattern: str) -> str:
    """A pattern of the rules as POSIX extended regular expression, with GNU's additions."""
    return re.sub(r"\\d", "[0-9]", pattern.replace("(?:", "(")).replace("[[0-9]", "[0-9")


def measure(argv: Sequence[str], env: Mapping[str, str], core: int, limit: int) -> Run:
    """Runs a command on one core, its output thrown away; killed after ``limit`` seconds of CPU."""
    began = os.times().elapsed
    pid = os.fork()
    if pid == 0:
        os.sched_setaffinity(0, {core})
        resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, 1)
        os.dup2(nothing, 2)
        os.execvpe(argv[0], list(argv), dict(env))  # noqa: S606 -- no shell is wanted
    _, status, usage = os.wait4(pid, 0)
    wall = os.times().elapsed - began
    if os.waitstatus_to_exitcode(status) not in (0, 1, -signal.SIGKILL, -signal.SIGXCPU):
        raise RuntimeError(f"{argv[0]} failed")
    return Run(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)
