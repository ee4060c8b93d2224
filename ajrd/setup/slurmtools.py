"""Slurm's commands for administrators, as setup runs them on the host."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ajrd.setup.answers import Answers
from ajrd.setup.host import Host
from ajrd.setup.job import Job


@dataclass(frozen=True, slots=True)
class Tools:
    """The host, with Slurm's own choice of slurm.conf, and the folder of its commands."""

    host: Host
    folder: str | None = None

    @classmethod
    def of(cls, job: Job) -> Tools:
        """Those that the answers name."""
        return cls.named(job.host, job.answers)

    @classmethod
    def named(cls, host: Host, answers: Answers) -> Tools:
        """The same from host and answers."""
        conf = answers.slurm.conf
        environ = {**host.environ, "SLURM_CONF": conf} if conf else host.environ
        return cls(replace(host, environ=environ), answers.slurm.bin_dir)

    def command(self, name: str) -> str:
        """The command as it is run."""
        return f"{self.folder.rstrip('/')}/{name}" if self.folder else name

    def account(self, *words: str) -> str:
        """Changes the accounting; raises SetupError."""
        return self.host.run(self.command("sacctmgr"), "-i", *words)

    def level_of(self, user: str) -> str:
        """The admin level of a user, "" if the accounting does not know it; raises SetupError."""
        said = self.host.run(
            self.command("sacctmgr"), "-nP", "show", "user", "where", f"name={user}",
            "format=user,adminlevel",
        )  # fmt: skip
        for line in said.splitlines():
            name, _, level = line.strip().partition("|")
            if name == user:
                return level or "None"
        return ""

    def settings(self) -> list[str]:
        """The lines of what slurmctld has read of slurm.conf; none if it cannot be asked."""
        command = self.command("scontrol")
        if not self.host.has(command):
            return []
        done = self.host.tried(command, "show", "config")
        return [] if done.code else done.said.splitlines()

    def reconfigure(self) -> None:
        """slurmctld reads slurm.conf again; raises SetupError."""
        self.host.run(self.command("scontrol"), "reconfigure")
