"""The host, whatever it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from ajrd.config import Config
from ajrd.doctor import host
from ajrd.doctor.check import Finding, Group, Level
from ajrd.doctor.host import Files, Libraries, Memory
from ajrd.doctor.table import CHECKS
from ajrd.doctor.tools import Unit
from tests.doctor.conftest import Examined

NAMES = [check.name for check in CHECKS if check.group is Group.HOST]


def a_unit(active: str, *, loaded: bool = True) -> Unit:
    return Unit(loaded, active, "ajrd")


@pytest.mark.parametrize(
    ("found", "level", "words"),
    [
        (host.judge_python((3, 11, 0), Config()), "ok", "3.11.0"),
        (host.judge_python((3, 10, 14), Config()), "fail", "3.11 or newer"),
        (host.judge_libraries(Libraries("glibc", "2.36", hyperscan=True), Config()), "ok", "2.36"),
        (host.judge_libraries(Libraries("glibc", "2.17", hyperscan=False), Config()), "warn",
         "too old"),
        (host.judge_libraries(Libraries("", "", hyperscan=False), Config()), "warn",
         "unknown libc"),
        (host.judge_units(a_unit("active"), Config()), "ok", "active"),
        (host.judge_units(a_unit("failed"), Config()), "fail", "failed"),
        (host.judge_units(a_unit("inactive"), Config()), "warn", "inactive"),
        (host.judge_units(a_unit("inactive", loaded=False), Config()), "warn", "not installed"),
        (host.judge_time_sync(True, Config()), "ok", "is synchronised"),
        (host.judge_time_sync(False, Config()), "warn", "not synchronised"),
        (host.judge_files(Files(1024, service=True), Config()), "warn", "1024 files"),
        (host.judge_files(Files(1024, service=False), Config()), "ok", "whoever asks"),
        (host.judge_files(Files(65536, service=True), Config()), "ok", "65536"),
        (host.judge_memory(Memory(8 << 30, None), Config()), "ok", "8192 MiB are available"),
        (host.judge_memory(Memory(512 << 20, 100 << 20), Config()), "warn", "service has 100 MiB"),
        (host.judge_memory(Memory(1 << 20, None), Config()), "fail", "1 MiB"),
    ],
)  # fmt: skip
def test_how_a_host_is_judged(found: Finding, level: str, words: str) -> None:
    assert (found.level.value, words in found.found) == (level, True), found
    assert bool(found.mend) is (level in ("warn", "fail"))


async def test_this_very_host_can_be_looked_at(examined: Examined) -> None:
    found = await examined(*NAMES)
    assert not [each for each in found.values() if "cannot be looked at" in each.found]
    assert found["python"].level is Level.OK


async def test_programs_that_are_missing_or_broken_are_no_failure(
    examined: Examined, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    found = await examined("unit", "time-sync")
    assert found["unit"].found == "this host has no systemctl"
    assert found["time-sync"].found == "neither timedatectl nor chronyc can tell"
    for name in ("systemctl", "timedatectl", "chronyc"):
        (tmp_path / name).write_text("#!/bin/sh\nprintf '\\377\\033[2J'; exit 1\n")
        (tmp_path / name).chmod(0o755)
    found = await examined("unit", "time-sync")
    assert [each.level for each in found.values()] == [Level.SKIP, Level.SKIP]


async def test_chronyc_tells_where_timedatectl_cannot(
    examined: Examined, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    chronyc = tmp_path / "chronyc"
    for status, level in (("Normal", Level.OK), ("Not synchronised", Level.WARN)):
        chronyc.write_text(f"#!/bin/sh\necho 'Leap status     : {status}'\n")
        chronyc.chmod(0o755)
        assert (await examined("time-sync"))["time-sync"].level is level
