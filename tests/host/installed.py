"""ajrd on a machine, from its package and under its units: the hands of an administrator."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.host.machine import PATIENCE, Machine
from tests.host.site import USER
from tests.packaging.debian import ROOT
from tests.service import until

CONFIG, SERVICE, WATCHDOG = "/etc/ajrd/config.yaml", "ajrd.service", "ajrd-watchdog.service"
UNITS = (SERVICE, WATCHDOG)
#: Acts, and is quick to.
QUICK: dict[str, dict[str, Any]] = {
    "slurm": {"poll": 0.2},
    "recovery": {"mode": "act", "settle": 0.5},
    "web": {"socket": "/run/ajrd/ajrd.sock"},
}
_VERIFICATION = ROOT / "slurm/jobs/verification.sh"


def install(machine: Machine, package: Path) -> None:
    """By dpkg; nothing is started."""
    shutil.copy(package, machine.path("/tmp/ajrd.deb"))
    machine("dpkg", "--install", "/tmp/ajrd.deb")


class Ajrd:
    """The installed ajrd of a machine."""

    def __init__(self, machine: Machine, program: str = "ajrd") -> None:
        self.machine = machine
        self.program = program
        self._delivered = machine.read(CONFIG)

    # as delivered, and otherwise

    def reset(self) -> None:
        """Stopped, as it was delivered, without a history; jobs are cancelled."""
        self.machine("systemctl", "stop", *UNITS)
        self.machine.tries("systemctl", "reset-failed", *UNITS)
        for unit in UNITS:
            shutil.rmtree(self.machine.path(f"/etc/systemd/system/{unit}.d"), ignore_errors=True)
        self.machine("systemctl", "daemon-reload")
        self.machine.write(CONFIG, self._delivered, 0o640, "root:ajrd")
        self.machine.shell("rm -f /var/lib/ajrd/ajrd.sqlite*")
        self.machine("scancel", f"--user={USER}")

    def configure(self, values: Mapping[str, Any]) -> None:
        """Replaces the configuration's text and leaves mode and owner; keeps its history."""
        self.machine.path(CONFIG).write_text(yaml.safe_dump(dict(values)))

    def drop_in(self, name: str, *lines: str, units: tuple[str, ...] = (SERVICE,)) -> None:
        """Lines for the section Service of the units."""
        text = "".join(f"{line}\n" for line in ("[Service]", *lines))
        for unit in units:
            self.machine.write(f"/etc/systemd/system/{unit}.d/{name}.conf", text)
        self.machine("systemctl", "daemon-reload")

    # what it is and says

    def show(self, key: str, unit: str = SERVICE) -> str:
        """One property of a unit."""
        return self.machine.unit(unit, key)[key]

    def pid(self, unit: str = SERVICE) -> str:
        """The main process, by its number in the machine."""
        return self.show("MainPID", unit)

    def process(self, unit: str = SERVICE) -> dict[str, str]:
        """What proc_pid_status(5) says of the main process."""
        text = self.machine("cat", f"/proc/{self.pid(unit)}/status")
        return {
            key: value.strip() for key, _, value in (e.partition(":") for e in text.split("\n"))
        }

    def journal(self) -> str:
        """All that systemd and the service have said of it since the boot."""
        return self.machine("journalctl", "--boot", f"--unit={SERVICE}", "--output=cat", "--quiet")

    def await_new_process(self, old: str) -> None:
        """Until systemd has started it anew and it is ready."""

        def there() -> bool:
            return self.show("ActiveState") == "active" and self.pid() not in ("0", old)

        until("systemd to start it anew", there, PATIENCE)

    def doctor(self) -> dict[str, dict[str, str]]:
        """The findings of ``ajrd doctor`` by group and name."""
        said = json.loads(self.machine.tries(self.program, "doctor", "--json").stdout)
        return {f"{each['group']}/{each['name']}": each for each in said["checks"]}

    # a user's job

    def submit(self, seconds: int = 2) -> str:
        """The verification job, which breaks after so long, by a user who lets nobody look."""
        home = f"/home/{USER}"
        text = _VERIFICATION.read_text()
        script, times = re.subn(r"\bsleep 30\b", f"sleep {seconds}", text)
        assert times == 1
        self.machine.write(f"{home}/job.sh", script)
        submit = "umask 077 && sbatch --parsable job.sh"
        return self.machine.shell(submit, user=USER, cwd=home).strip()

    def attempts(self, job: str) -> list[dict[str, Any]]:
        """What the job's owner is told of its attempts."""
        done = self.machine.tries(self.program, "status", job, "--json", user=USER)
        return json.loads(done.stdout)["attempts"] if done.returncode == 0 else []

    def await_attempt(self, job: str, index: int) -> dict[str, Any]:
        """Until there is one of that index."""

        def there() -> dict[str, Any] | None:
            found = self.attempts(job)
            return found[index] if len(found) > index else None

        return until(f"attempt {index} of job {job}", there, PATIENCE)
