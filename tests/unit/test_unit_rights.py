"""With the very rights of ajrd.service: what can be read of a job's owner, and what cannot."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.unit.units import USER, as_unit, why_not

OWNER = 54321
UNIT = "ajrd.service"
#: Reads files as the owner of a job and says what came of each.
READER = """
import os, sys
from ajrd.logs.asowner import OwnerFiles, keep_rights_from_children
from ajrd.model import LogFile, LogOrigin
keep_rights_from_children()
for path in sys.argv[2:]:
    try:
        file = LogFile(path, int(sys.argv[1]), int(sys.argv[1]), LogOrigin.BATCH)
        print(os.read(OwnerFiles().open(file), 100).decode())
    except OSError as error:
        print(f"{type(error).__name__}: {error.strerror or error.args[0]}")
print(os.geteuid(), os.getgroups())
"""
#: Says which of the files it was told of, once the last one was written to.
WATCHER = """
import asyncio, sys
from ajrd.logs.wake import Waker
async def main():
    told = asyncio.Event()
    waker = Waker(lambda path: (print(path), told.set()))
    for path in sys.argv[1:]:
        waker.add(path)
    watching = asyncio.create_task(waker.run())
    while not told.is_set():
        with open(sys.argv[-1], "a") as log:
            log.write("step\\n")
        await asyncio.sleep(0.05)
    watching.cancel()
asyncio.run(main())
"""


pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A home of the owner, closed to everybody else, which can be reached."""
    for parent in (tmp_path, *tmp_path.parents):
        if parent.stat().st_uid == os.geteuid() and parent.stat().st_mode & 0o777 == 0o700:
            parent.chmod(0o711)
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    os.chown(home, OWNER, OWNER)
    return home


def make(path: Path, uid: int, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o600)
    os.chown(path, uid, uid)
    return path


def read(*paths: Path, uid: int = OWNER) -> list[str]:
    return run([sys.executable, "-c", READER, str(uid), *map(str, paths)])


def run(argv: Sequence[str]) -> list[str]:
    done = subprocess.run(as_unit(UNIT, *argv), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.split("\n")[:-1]


def test_a_private_file_of_the_owner_is_read_and_afterwards_it_is_itself_again(
    folder: Path,
) -> None:
    log = make(folder / "log", OWNER, "step 7")
    assert read(log) == ["step 7", f"{USER} []"]


def test_a_closed_home_keeps_no_other_folder_from_being_watched(folder: Path) -> None:
    closed = make(folder / "log", OWNER, "")
    shared = folder.parent / "shared"
    shared.mkdir()
    os.chown(shared, USER, USER)
    log = make(shared / "log", USER, "")
    told = run([sys.executable, "-c", WATCHER, str(closed), str(log)])
    assert set(told) == {str(log)}


def test_a_symlink_to_a_file_of_root_is_refused(folder: Path) -> None:
    secret = make(folder.parent / "secret", 0, "of root")
    (folder / "link").symlink_to(secret)
    (folder / "shadow").symlink_to("/etc/shadow")
    assert (
        read(folder / "link", folder / "shadow")[:2] == ["PermissionError: Permission denied"] * 2
    )


def test_a_symlink_to_a_file_of_the_service_is_refused(folder: Path) -> None:
    (folder / "link").symlink_to(make(folder.parent / "store", USER, "of ajrd"))
    assert read(folder / "link")[0] == "PermissionError: Permission denied"


def test_a_private_file_of_root_is_not_read_for_a_job_of_root(folder: Path) -> None:
    secret = make(folder.parent / "secret", 0, "of root")
    assert read(secret, uid=0)[0] == "PermissionError: Permission denied"


def test_a_fifo_and_a_device_are_refused(folder: Path) -> None:
    os.mkfifo(folder / "fifo")
    os.chown(folder / "fifo", OWNER, OWNER)
    (folder / "device").symlink_to("/dev/zero")
    refusals = read(folder / "fifo", folder / "device")[:2]
    assert all("is not a regular file; ajrd reads no other" in refusal for refusal in refusals)


def test_a_unit_that_may_read_every_file_reads_none(folder: Path) -> None:
    """The kernel keeps that right when another than root takes on somebody's."""
    secret = make(folder.parent / "secret", 0, "of root")
    (folder / "link").symlink_to(secret)
    capabilities = "-all,+setuid,+setgid,+dac_read_search"
    argv = [
        *("setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups"),
        *(f"--inh-caps={capabilities}", f"--ambient-caps={capabilities}"),
        *(sys.executable, "-c", READER, str(OWNER), str(folder / "link")),
    ]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    assert "CAP_DAC_READ_SEARCH; take that out of the unit" in done.stdout


def test_commands_that_it_starts_have_no_capability() -> None:
    program = (
        "import subprocess\n"
        "from ajrd.logs.asowner import keep_rights_from_children\n"
        "keep_rights_from_children()\n"
        "subprocess.run(['grep', 'CapEff', '/proc/self/status'])"
    )
    assert run([sys.executable, "-c", program]) == ["CapEff:\t0000000000000000"]
