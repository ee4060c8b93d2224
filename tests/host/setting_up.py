"""``ajrd setup`` and ``ajrd uninstall`` on a machine, and all that they could leave there."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any

import yaml

from tests.asking.pty_child import OnTerminal, on_terminal
from tests.host.installed import SERVICE, UNITS
from tests.host.machine import PATIENCE, Machine
from tests.packaging.debian import ENVIRONMENT, Looks
from tests.service import until

#: Where whoever runs setup has written what is wanted.
WANTED = "/root/wanted.yaml"
#: Root's own, as at a login: what is kept for root's commands must not lie there afterwards either.
_LOGIN = {"HOME": "/root", "XDG_CACHE_HOME": ""}
#: What tells of accounts and rights in a MariaDB.
_BOOKS = ("global_priv", "db", "tables_priv", "columns_priv", "procs_priv", "roles_mapping")
_DUMP = ("mysqldump", "--skip-comments", "--order-by-primary", "--skip-extended-insert")
#: Where the number of a setup's process stands.
_NUMBER = "/run/setup.pid"


def everything(machine: Machine) -> dict[str, Looks | str]:
    """Each file but users'; and databases, rights, units, processes, and slurmctld's settings."""
    settings = machine("scontrol", "show", "config").splitlines()
    files = machine.tree().items()
    return {
        **{name: looks for name, looks in files if not name.startswith("/home/")},
        "databases": machine("mysql", "--execute", "SHOW DATABASES"),
        "rights in databases": machine(*_DUMP, "mysql", *_BOOKS),
        "rights in Slurm": machine.tries("sacctmgr", "-nP", "show", "user", "withassoc").stdout,
        "slurmctld": "\n".join(line for line in settings if "Slurmctld" in line),
        "units": machine.tries("systemctl", "list-unit-files", "--no-legend", "ajrd*").stdout,
        "running": machine("systemctl", "list-units", "--all", "--no-legend", "ajrd*"),
        "processes": machine.tries("pgrep", "--full", "--list-full", "ajrd (run|watchdog)").stdout,
        "passing files": machine.shell("find /run -name '*ajrd*'"),
    }


def differences(before: Mapping[str, object], after: Mapping[str, object]) -> dict[str, object]:
    """What is not as it was: {} is nothing."""
    names = sorted(before.keys() | after.keys())
    changed = (name for name in names if before.get(name) != after.get(name))
    return {name: (before.get(name), after.get(name)) for name in changed}


class Administrator:
    """Root of a machine, at the program ``ajrd`` there."""

    def __init__(self, machine: Machine, program: str = "/usr/bin/ajrd") -> None:
        self.machine = machine
        self.program = program

    def wants(self, answers: Mapping[str, Any]) -> None:
        """Writes them down, in a file that is none of setup's."""
        self.machine.write(WANTED, yaml.safe_dump(dict(answers)), 0o600)

    def tries(self, *words: str) -> subprocess.CompletedProcess[str]:
        """A command of ajrd, which may fail."""
        return self.machine.tries(self.program, *words, **_LOGIN)

    def __call__(self, *words: str) -> str:
        """What a command of ajrd says; fails if it does."""
        return self.machine(self.program, *words, **_LOGIN)

    def set_up(self, *options: str, answers: str = WANTED) -> str:
        """Unattended; what it said."""
        return self("setup", "--answers", answers, *options)

    def kill_setup(self, moment: Callable[[], bool]) -> bool:
        """Runs it until then, and kills it without a warning; False if it ended before."""
        argv = ["sh", "-c", 'echo $$ >"$1" && shift && exec "$@"', "sh", _NUMBER]
        argv += [self.program, "setup", "--answers", WANTED]
        number = self.machine.path(_NUMBER)
        number.unlink(missing_ok=True)
        with ThreadPoolExecutor() as thread:
            run = thread.submit(self.machine.tries, *argv, **_LOGIN)
            until("its process", lambda: number.exists() and number.read_text(), PATIENCE)
            until("the moment, or the end", lambda: moment() or run.done(), PATIENCE)
            if not run.done():
                self.machine.tries("kill", "-KILL", number.read_text().strip())
            return run.result().returncode == -signal.SIGKILL

    def on_terminal(self, *words: str) -> AbstractContextManager[OnTerminal]:
        """A command of ajrd, and somebody who types."""
        inside = ["nsenter", "--target", str(self.machine.pid), "--all", "--"]
        command = ["env", "--chdir=/", self.program, *words]
        return on_terminal([*inside, *command], {**ENVIRONMENT, **_LOGIN})

    def purge(self) -> str:
        """Takes it all back."""
        return self("uninstall", "--purge", "--yes")

    def states(self) -> list[str]:
        """Of both units."""
        return [self.machine.unit(name, "ActiveState")["ActiveState"] for name in UNITS]

    def pids(self) -> list[str]:
        """The main processes of both units."""
        return [self.machine.unit(name, "MainPID")["MainPID"] for name in UNITS]

    def service_says(self) -> str:
        """Its status line."""
        return self.machine.unit(SERVICE, "StatusText")["StatusText"]
