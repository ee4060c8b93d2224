"""The unit files, and a command with the rights that one of them gives."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

UNITS = Path(__file__).parents[2] / "systemd"
#: Stands for the unit's user, who need not exist here.
USER = 54320


def settings_of(unit: str) -> dict[str, list[str]]:
    """All values of each key of a unit file, in their order."""
    values: dict[str, list[str]] = {}
    for line in (UNITS / unit).read_text().splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            values.setdefault(key, []).append(value)
    return values


def as_unit(unit: str, *argv: str | Path) -> Sequence[str]:
    """The command that runs ``argv`` as a user other than root with the unit's capabilities."""
    values = settings_of(unit)
    assert values["User"] != ["root"]
    assert values["NoNewPrivileges"] == ["yes"]
    ambient = _capabilities(values.get("AmbientCapabilities", []))
    bounding = _capabilities(values["CapabilityBoundingSet"])
    return (
        *("setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "--no-new-privs"),
        *(f"--inh-caps={ambient}", f"--ambient-caps={ambient}", f"--bounding-set={bounding}"),
        *map(str, argv),
    )


def _capabilities(values: Sequence[str]) -> str:
    """As setpriv(1) writes them."""
    names = " ".join(values).lower().replace("cap_", "").split()
    return ",".join(["-all", *(f"+{name}" for name in names)])


@functools.cache
def why_not() -> str:
    """Why nothing can be run as the unit's user; "": it can."""
    if os.geteuid() != 0 or not shutil.which("setpriv"):
        return "needs root and setpriv, to be the unit's user"
    argv = as_unit("ajrd.service", sys.executable, "-c", "import ajrd")
    done = subprocess.run(argv, capture_output=True)
    return "" if done.returncode == 0 else "another user cannot reach this Python"
