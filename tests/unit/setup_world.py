"""A head node below a folder: its files, its users, and programs that do in it what theirs do."""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ajrd.setup.answers import Answers
from ajrd.setup.facts import Facts, SlurmFacts
from ajrd.setup.host import Host
from ajrd.setup.job import Job, Secrets
from ajrd.setup.remove import removal, remove
from ajrd.setup.run import carry_out
from ajrd.store.administration import Admin

SLURM_CONF = "ClusterName=lab\n# Epilog=/old\nNodeName=n1"
#: All programs in one: each call is written down, the one whose number stands in `fail` does not.
_PROGRAMS = r"""#!/bin/sh
name=${0##*/}
echo "$name $*" >>"$STATE/told"
read count <"$STATE/count"
echo $((count + 1)) >"$STATE/count"
read fail <"$STATE/fail"
[ "$count" != "$fail" ] || { echo "$name is broken"; exit 1; }
unit=$STATE/units/$2
case $name in
systemctl)
    case $1 in
    is-enabled) [ -e "$unit.enabled" ] && echo enabled || { echo disabled; exit 1; } ;;
    is-active) [ -e "$unit.active" ] && echo active || { echo inactive; exit 3; } ;;
    enable) : >"$unit.enabled" ;;
    disable) rm "$unit.enabled" ;;
    restart) : >"$unit.active" ;;
    stop) rm "$unit.active" ;;
    esac ;;
journalctl) echo "ajrd: the database is away" ;;
systemd-sysusers)
    while read -r kind user number rest; do
        [ "$kind" = u ] || continue
        echo "$user:x:$(id -u):$(id -g)::/var/lib/ajrd:/usr/sbin/nologin" >>"$ROOT/etc/passwd"
        echo "$user:x:$(id -g):" >>"$ROOT/etc/group"
    done <"$1" ;;
systemd-tmpfiles)
    while read -r kind path mode rest; do
        [ "$kind" != d ] || { mkdir -p "$ROOT$path"; chmod "$mode" "$ROOT$path"; }
    done <"$2" ;;
userdel) sed -i "/^$1:/d" "$ROOT/etc/passwd" ;;
groupdel) sed -i "/^$1:/d" "$ROOT/etc/group" ;;
sacctmgr)
    case "$*" in
    *" show "*) cat "$STATE/level" ;;
    *" add "*) echo "ajrd|Administrator" >"$STATE/level" ;;
    *" modify "*) echo "ajrd|${7#*=}" >"$STATE/level" ;;
    *" delete "*) : >"$STATE/level" ;;
    esac ;;
esac
"""
_NAMES = (
    "systemctl", "journalctl", "systemd-sysusers", "systemd-tmpfiles", "userdel", "groupdel",
    "sacctmgr", "scontrol", "ajrd",
)  # fmt: skip
Tree = dict[str, tuple[object, ...]]


@pytest.fixture
def quick_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """What no test can see: that a file survives the loss of power."""
    monkeypatch.setattr("os.fsync", lambda _descriptor: None)


@dataclass(frozen=True)
class HeadNode:
    """The host, and what its programs keep."""

    host: Host
    state: Path

    @classmethod
    def make(cls, folder: Path, *, systemd: bool = True) -> HeadNode:
        """A new one, with Slurm and nothing of ajrd."""
        root, state, programs = (folder / name for name in ("root", "state", "bin"))
        for path in (
            root / "etc/slurm", root / "etc/systemd/system", root / "etc/sysusers.d",
            root / "etc/tmpfiles.d", root / "usr/lib", root / "var/lib", root / "var/cache",
            root / "var/spool", root / "shared", root / "run", state / "units", programs,
        ):  # fmt: skip
            path.mkdir(parents=True)
        if systemd:
            (root / "run/systemd/system").mkdir(parents=True)
        uid, gid = os.getuid(), os.getgid()
        (root / "etc/passwd").write_text(f"slurm:x:{uid}:{gid}::/:/bin/sh\n")
        (root / "etc/group").write_text(f"slurm:x:{gid}:\n")
        (root / "etc/slurm/slurm.conf").write_text(SLURM_CONF)
        for name, text in (("told", ""), ("count", "0\n"), ("fail", "-1\n"), ("level", "")):
            (state / name).write_text(text)
        for name in _NAMES:
            (programs / name).write_text(_PROGRAMS)
            (programs / name).chmod(0o755)
        environ = {"PATH": f"{programs}:{os.environ['PATH']}", "ROOT": str(root)}
        return cls(Host(root, {**environ, "STATE": str(state)}), state)

    def job(self, answers: Answers, secrets: Secrets | None = None, **more: Any) -> Job:
        """What a run goes by."""
        slurm = SlurmFacts(
            version="22.05.8", cluster="lab", conf="/etc/slurm/slurm.conf", user="slurm",
            partitions=("main",), accounting=True, here=True, settings={"SlurmdUser": "root(0)"},
        )  # fmt: skip
        program = str(self.state.parent / "bin/ajrd")
        facts = Facts("head1", program, slurm, **more)
        return Job(self.host, facts, answers, secrets or Secrets())

    def set_up(self, answers: Answers, secrets: Secrets | None = None) -> list[str]:
        """The whole setup; gives what was told."""
        said: list[str] = []
        carry_out(self.job(answers, secrets), said.append)
        return said

    def take_off(self, *, purge: bool = True) -> list[str]:
        """The whole removal; gives what was told."""
        said: list[str] = []
        remove(self.host, removal(self.host, purge=purge), Admin(), said.append)
        return said

    def told(self) -> list[str]:
        """What the programs were told since the last question, looks left out."""
        path = self.state / "told"
        lines = path.read_text().splitlines()
        path.write_text("")
        looks = ("systemctl is-", "sacctmgr -nP", "scontrol show", "journalctl")
        return [line for line in lines if not line.startswith(looks)]

    def fail_at(self, number: int) -> None:
        """The call of this number from now on fails, once; -1: none."""
        (self.state / "count").write_text("0\n")
        (self.state / "fail").write_text(f"{number}\n")

    def calls(self) -> int:
        """How many there were since :meth:`fail_at`."""
        return int((self.state / "count").read_text())

    def tree(self) -> Tree:
        """Every file below the root: what it is, whose, and what is in it; and what runs."""
        units = sorted(path.name for path in (self.state / "units").iterdir())
        level = (self.state / "level").read_text()
        tops = os.walk(self.host.root)
        paths = (Path(top, name) for top, dirs, files in tops for name in (*dirs, *files))
        files = {str(path.relative_to(self.host.root)): _looks(path) for path in paths}
        return {**files, ":units": tuple(units), ":level": (level,)}

    def read(self, name: str) -> str:
        """The text of a file of it."""
        return self.host.path(name).read_text()


def everything() -> Answers:
    """All that can be made without a database."""
    return Answers.model_validate(
        {
            "recovery": {"mode": "act"},
            "slurm": {"rights": "accounting"},
            "hooks": {"controller": True, "shared_dir": "/shared/ajrd", "edit_slurm_conf": True},
        }
    )


def _looks(path: Path) -> tuple[object, ...]:
    seen = path.lstat()
    content = ""
    if stat.S_ISLNK(seen.st_mode):
        content = str(path.readlink())
    elif stat.S_ISREG(seen.st_mode):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
    return stat.filemode(seen.st_mode), seen.st_uid, seen.st_gid, content
