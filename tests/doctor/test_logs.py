"""Whether logs can be read: rights, limits, mounts."""

from __future__ import annotations

import stat
import threading
from pathlib import Path

import pytest

from ajrd.config import Config
from ajrd.doctor import logs
from ajrd.doctor.check import Finding, Level
from ajrd.doctor.files import Node
from ajrd.doctor.logs import Powers, Remotes, ask_mounts
from tests.doctor.conftest import Examined

ALL = sum(1 << bit for bit in logs.NEEDED.values())
MOUNTS = """\
22 1 8:1 / / rw - ext4 /dev/sda1 rw
23 22 0:40 / /home rw - nfs4 fs1:/home rw
24 22 0:41 / /scratch\\040one rw - lustre mds:/s rw
25 22 0:42 / /mnt rw - fuse.sshfs x: rw
26 22 0:43 / /gone rw - nfs fs2:/gone rw
"""


@pytest.mark.parametrize(
    ("found", "level", "words"),
    [
        (logs.judge_report_dir(Node("/r", stat.S_IFDIR | 0o1777), Config()), "ok", "1777"),
        (logs.judge_report_dir(Node("/r", stat.S_IFDIR | 0o777), Config()), "fail", "mode 0777"),
        (logs.judge_report_dir(Node("/r", stat.S_IFDIR | 0o755), Config()), "warn", "mode 0755"),
        (logs.judge_report_dir(Node("/r", stat.S_IFREG | 0o644), Config()), "fail", "no folder"),
        (logs.judge_report_dir(Node("/r", error="gone"), Config()), "fail", "/r: gone"),
        (logs.judge_powers(Powers(ALL, service=True), Config()), "ok", "the service may"),
        (
            logs.judge_powers(Powers(0, service=True), Config()),
            "fail",
            "lacks CAP_SETGID, CAP_SETUID",
        ),
        (
            logs.judge_powers(Powers(ALL & ~64, service=False), Config()),
            "warn",
            "lacks CAP_SETGID:",
        ),
        (logs.judge_mounts(Remotes((), ()), Config()), "skip", "nothing"),
        (logs.judge_mounts(Remotes(("/home",), ()), Config()), "ok", "1 mounts"),
        (logs.judge_mounts(Remotes((), ("/a b",)), Config()), "warn", "/a b did not answer"),
    ],
)
def test_how_it_is_judged(found: Finding, level: str, words: str) -> None:
    assert (found.level.value, words in found.found) == (level, True), found
    assert bool(found.mend) is (level in ("warn", "fail"))


def test_only_limits_that_are_low_are_raised() -> None:
    found = logs.judge_inotify({"max_user_watches": 8192, "max_user_instances": 128}, Config())
    assert (found.level, found.mend) == (
        Level.WARN,
        "sysctl -w fs.inotify.max_user_watches=65536",
    )


async def test_mounts_that_hang_are_named_and_others_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(logs, "ANSWER", 0.2)
    never = threading.Event()
    asked = set()

    def statvfs(point: str) -> None:
        asked.add(point)
        if point == "/scratch one":
            never.wait()
        if point == "/gone":
            raise OSError("stale file handle")

    found = await ask_mounts(MOUNTS, statvfs)
    assert found == Remotes(("/home", "/mnt", "/gone"), ("/scratch one",))
    assert "/" not in asked
    never.set()


async def test_the_folder_for_reports_as_its_command_makes_it(
    examined: Examined, tmp_path: Path
) -> None:
    folder = tmp_path / "steps"
    sections = {"logs": {"report_dir": str(folder)}}
    assert (await examined("report-dir", **sections))["report-dir"].level is Level.FAIL
    folder.mkdir()
    folder.chmod(0o1777)
    assert (await examined("report-dir", **sections))["report-dir"].level is Level.OK


async def test_this_very_host_can_be_looked_at(examined: Examined) -> None:
    found = await examined("as-owner", "inotify", "mounts")
    assert not [each for each in found.values() if "cannot be looked at" in each.found]
