"""systemd of the host. Where it does not run, units can still be enabled."""

from __future__ import annotations

from dataclasses import dataclass

from ajrd.setup.host import Host

#: Seconds; TimeoutStartSec of ajrd.service, and a little.
_START = 200.0
_LINES = 20


@dataclass(frozen=True, slots=True)
class Systemd:
    """Raises SetupError for what systemctl refuses."""

    host: Host

    def is_enabled(self, unit: str) -> bool:
        """Does it start with the host? Where there is no systemd, nothing does."""
        if not self.host.has("systemctl"):
            return False
        return self.host.tried("systemctl", "is-enabled", unit).said.strip() == "enabled"

    def is_active(self, unit: str) -> bool:
        """Does it run? Where systemd does not, nothing does."""
        if not self.host.systemd:
            return False
        return self.host.tried("systemctl", "is-active", unit).said.strip() in (
            "active", "activating", "reloading",
        )  # fmt: skip

    def reload(self) -> None:
        """Units are read anew."""
        if self.host.systemd:
            self.host.run("systemctl", "daemon-reload")

    def enable(self, unit: str) -> None:
        """It starts with the host."""
        self.host.run("systemctl", "enable", unit)

    def disable(self, unit: str) -> None:
        """It does not; one that is not there any more is no fault."""
        if self.is_enabled(unit):
            self.host.run("systemctl", "disable", unit)

    def restart(self, unit: str) -> None:
        """It runs with what is written now, and has said that it is ready."""
        self.host.run("systemctl", "restart", unit, limit=_START)

    def stop(self, unit: str) -> None:
        """It has ended."""
        if self.is_active(unit):
            self.host.run("systemctl", "stop", unit)

    def forget(self, unit: str) -> None:
        """How it has ended is not told any more; one that is not known is no fault."""
        if self.host.systemd:
            self.host.tried("systemctl", "reset-failed", unit)

    def said_by(self, unit: str) -> str:
        """The last lines of its log, "" if nobody knows."""
        if not self.host.has("journalctl"):
            return ""
        done = self.host.tried(
            "journalctl", "-u", unit, "-n", str(_LINES), "--no-pager", "-o", "cat"
        )
        return "" if done.code else done.said.strip()
