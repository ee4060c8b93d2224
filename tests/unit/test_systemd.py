"""The unit files, as systemd reads them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

UNITS = Path(__file__).parents[2] / "systemd"


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")
@pytest.mark.parametrize("unit", ["ajrd.service", "ajrd-watchdog.service"])
def test_systemd_finds_no_fault_in(unit: str, tmp_path: Path) -> None:
    """The program need not be installed for that: another one stands in for it."""
    copy = tmp_path / unit
    copy.write_text((UNITS / unit).read_text().replace("/usr/bin/ajrd", "/bin/true"))
    done = subprocess.run(
        ["systemd-analyze", "verify", str(copy)], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
