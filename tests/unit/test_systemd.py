"""The unit files, as systemd reads them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.unit.units import UNITS, settings_of

#: The worst that systemd-analyze security may say: ten times its figure, of 100.
EXPOSURE = {"ajrd.service": 25, "ajrd-watchdog.service": 15}

needs_systemd = pytest.mark.skipif(
    not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed"
)


def analyze(*argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["systemd-analyze", *argv], capture_output=True, text=True, timeout=60)


@needs_systemd
@pytest.mark.parametrize("unit", EXPOSURE)
def test_systemd_finds_no_fault_in(unit: str, tmp_path: Path) -> None:
    """The program need not be installed for that: another one stands in for it."""
    copy = tmp_path / unit
    copy.write_text((UNITS / unit).read_text().replace("/usr/bin/ajrd", "/bin/true"))
    done = analyze("verify", str(copy))
    assert (done.returncode, done.stderr) == (0, "")


@needs_systemd
@pytest.mark.parametrize(("unit", "worst"), EXPOSURE.items())
def test_little_is_exposed_by(unit: str, worst: int) -> None:
    done = analyze("security", "--offline=true", f"--threshold={worst}", str(UNITS / unit))
    assert done.returncode == 0, done.stdout[-300:]


@needs_systemd
def test_each_system_call_that_takes_on_an_owners_rights_is_let_through() -> None:
    """Later filters win; these three are in a set that is taken out."""
    filters = settings_of("ajrd.service")["SystemCallFilter"]
    assert filters.index("~@privileged @resources") < filters.index("setfsuid setfsgid setgroups")
    assert "setgroups" in analyze("syscall-filter", "@privileged").stdout


@pytest.mark.parametrize("unit", EXPOSURE)
def test_it_is_an_unprivileged_user_that_sysusers_makes(unit: str) -> None:
    (user,) = settings_of(unit)["User"]
    made = (UNITS / "ajrd.sysusers").read_text().splitlines()
    assert [line.split()[:2] for line in made if line and line[0] != "#"] == [["u", user]]


def test_the_folder_of_the_hooks_hands_its_group_to_what_is_put_there() -> None:
    """Mode 3733: written by anybody, read by ajrd's group alone, deleted by ajrd."""
    (user,) = settings_of("ajrd.service")["User"]
    lines = [line.split() for line in (UNITS / "ajrd.tmpfiles").read_text().splitlines()]
    assert ["d", "/var/spool/ajrd/hooks", "3733", user, user, "1d"] in lines
