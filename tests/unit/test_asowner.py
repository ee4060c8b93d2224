"""The kernel judges every path as if the job's owner had opened it."""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path

import pytest

from ajrd.logs import asowner
from ajrd.logs.asowner import OwnerFiles, as_owner, birth_time
from ajrd.model import LogFile, LogOrigin
from tests.unit.logfiles import log_file

USER, OTHER = 54321, 54322

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")


def owned_by(uid: int, path: Path) -> LogFile:
    return LogFile(str(path), uid, uid, LogOrigin.BATCH)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that every user can reach: pytest's own are closed to others."""
    for parent in (tmp_path, *tmp_path.parents):
        if parent.stat().st_uid == os.geteuid() and parent.stat().st_mode & 0o777 == 0o700:
            parent.chmod(0o711)
    tmp_path.chmod(0o755)
    return tmp_path


def make(path: Path, uid: int, mode: int = 0o600) -> Path:
    path.write_text("text\n")
    os.chown(path, uid, uid)
    path.chmod(mode)
    return path


def read(file: LogFile) -> str:
    with open(OwnerFiles().open(file)) as opened:
        return opened.read()


@needs_root
def test_a_private_file_of_the_owner_can_be_read(folder: Path) -> None:
    assert read(owned_by(USER, make(folder / "log", USER))) == "text\n"


@needs_root
def test_a_symlink_to_a_file_of_somebody_else_is_refused(folder: Path) -> None:
    make(folder / "secret", 0)
    (folder / "log").symlink_to(folder / "secret")
    with pytest.raises(PermissionError):
        OwnerFiles().open(owned_by(USER, folder / "log"))


@needs_root
def test_a_symlink_to_a_file_of_the_owner_is_followed(folder: Path) -> None:
    make(folder / "real", USER)
    (folder / "log").symlink_to(folder / "real")
    assert read(owned_by(USER, folder / "log")) == "text\n"


@needs_root
def test_groups_of_the_service_do_not_help_the_owner(folder: Path) -> None:
    path = make(folder / "log", OTHER, 0o640)
    os.chown(path, OTHER, 60001)
    refused: list[bool] = []

    def act() -> None:
        asowner._set_groups((60001,))
        try:
            OwnerFiles().open(owned_by(USER, path))
        except PermissionError:
            refused.append(True)
        refused.append(os.getgroups() == [60001])

    thread = threading.Thread(target=act)
    thread.start()
    thread.join()
    assert refused == [True, True]


@needs_root
def test_groups_of_the_owner_count(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make(folder / "log", OTHER, 0o640)
    os.chown(path, OTHER, 60002)
    monkeypatch.setattr(asowner, "_groups_of", lambda _uid, gid: (gid, 60002))
    assert read(owned_by(USER, path)) == "text\n"


@needs_root
def test_a_folder_of_somebody_else_cannot_be_looked_into(folder: Path) -> None:
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    os.chown(make(closed / "log", USER), USER, USER)
    os.chown(closed, OTHER, OTHER)
    with pytest.raises(PermissionError):
        OwnerFiles().stat(owned_by(USER, closed / "log"))


@needs_root
def test_only_the_calling_thread_changes_and_it_changes_back(folder: Path) -> None:
    secret = make(folder / "secret", OTHER)
    inside, looked = threading.Event(), threading.Event()
    seen: list[object] = []

    def act() -> None:
        with as_owner(USER, USER):
            inside.set()
            looked.wait(10)
            seen.append(os.access(secret, os.R_OK, effective_ids=True))
            try:
                secret.read_text()
            except PermissionError as error:
                seen.append(type(error))
        seen.append(secret.read_text())
        seen.append(os.getgroups())

    thread = threading.Thread(target=act)
    thread.start()
    assert inside.wait(10)
    assert secret.read_text() == "text\n"
    looked.set()
    thread.join()
    assert seen[-3:] == [PermissionError, "text\n", os.getgroups()]


@needs_root
def test_rights_come_back_after_an_error(folder: Path) -> None:
    secret = make(folder / "secret", OTHER)
    with pytest.raises(ValueError, match="inside"), as_owner(USER, USER):
        raise ValueError("inside")
    assert secret.read_text() == "text\n"


def test_a_fifo_is_refused_without_letting_its_writer_go_on(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(OSError, match="not a regular file"):
        OwnerFiles().open(log_file(str(tmp_path / "fifo")))
    with pytest.raises(OSError, match="No such device"):
        os.open(tmp_path / "fifo", os.O_WRONLY | os.O_NONBLOCK)


def test_devices_sockets_and_folders_are_refused(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        for path in (Path("/dev/null"), tmp_path, tmp_path / "socket"):
            with pytest.raises(OSError, match="not a regular file"):
                OwnerFiles().open(log_file(str(path)))


def test_files_of_proc_are_refused(tmp_path: Path) -> None:
    (tmp_path / "log").symlink_to("/proc/self/environ")
    with pytest.raises(OSError, match="/proc"):
        OwnerFiles().open(log_file(str(tmp_path / "log")))


def test_a_new_file_was_born_now_and_is_no_older_when_written_later(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("text\n")
    written = path.stat().st_mtime
    os.utime(path, (written + 100, written + 100))
    with path.open() as file:
        born = birth_time(file.fileno())
    assert born is None or abs(born - written) < 5
