"""Which messages of hooks are believed, and what becomes of the rest."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ajrd.hooks.message import LONGEST, MOST_LINES, Event, KernelLine, Message, parse
from ajrd.hooks.spool import Spool

END = b"ajrd-hook 1\nevent=end\njob=12\nrestart=\nexit=\nnode=\n\n"
OWN = frozenset({os.geteuid()})


def test_a_message_of_a_kernel() -> None:
    data = (
        b"ajrd-hook 1\nevent=kernel\njob=0012\nrestart=1\nexit=0:9\nnode=n1\n\n"
        b"1700000000.5 mce: [Hardware Error]: x\nrubbish\n1700000001 y\n"
    )
    lines = (
        KernelLine(1700000000.5, "mce: [Hardware Error]: x"),
        KernelLine(1700000001.0, "y"),
    )
    assert parse(data) == Message(Event.KERNEL, "12", 1, "0:9", "n1", lines)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"ajrd-hook 1\n\n",
        END.replace(b"hook 1", b"hook 2"),
        END.replace(b"=end", b"=kill"),
        END.replace(b"=12", b"=-12"),
        END.replace(b"=12", b"=" + b"9" * 11),
        END.replace(b"=12", "=\N{ARABIC-INDIC DIGIT ONE}".encode()),
        END.replace(b"restart=", b"restart=x"),
        END.replace(b"node=", b"node=a/b"),
        END.replace(b"node=", b"node=" + b"a" * 300),
        END.replace(b"exit=", b"exit=\x1b[2J"),
    ],
)
def test_rubbish_is_no_message(data: bytes) -> None:
    assert parse(data) is None


@given(st.binary(max_size=300) | st.binary(max_size=300).map(lambda tail: END + tail))
def test_whatever_stands_in_a_file_is_read(data: bytes) -> None:
    message = parse(data)
    assert message is None or message.job.isdecimal()


def test_a_message_without_end_is_cut_short() -> None:
    lines = b"1700000000 " + b"x" * 5000 + b"\n"
    message = parse(END + lines * 1000 + bytes(LONGEST))
    assert message is not None
    assert len(message.lines) <= MOST_LINES
    assert all(len(line.text) < 1000 for line in message.lines)


def test_a_message_is_told_once_and_lies_there_until_it_is_done_with(tmp_path: Path) -> None:
    (tmp_path / "1").write_bytes(END)
    spool = Spool(str(tmp_path), OWN)
    (letter,) = spool.look()
    assert letter.message == Message(Event.END, "12")
    assert spool.look() == []
    spool.remove(letter.path)
    assert not [*tmp_path.iterdir()]


def test_a_new_message_under_an_old_name_is_told(tmp_path: Path) -> None:
    spool = Spool(str(tmp_path), OWN)
    for _ in range(2):
        (tmp_path / "1").write_bytes(END)
        (letter,) = spool.look()
        spool.remove(letter.path)
        assert spool.look() == []


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to write as somebody else")
def test_a_message_of_somebody_else_is_deleted_unread(tmp_path: Path) -> None:
    (tmp_path / "1").write_bytes(END)
    os.chown(tmp_path / "1", 54321, 54321)
    spool = Spool(str(tmp_path), OWN)
    assert (spool.look(), spool.refused) == ([], 1)
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("kind", ["symlink", "hard link", "fifo", "folder", "rubbish"])
def test_nothing_but_a_file_of_one_name_is_read(tmp_path: Path, kind: str) -> None:
    """A link could lead to any file of root's that looks like a message: an old one."""
    real, folder = tmp_path / "real", tmp_path / "spool"
    folder.mkdir()
    real.write_bytes(END)
    if kind == "symlink":
        (folder / "1").symlink_to(real)
    elif kind == "hard link":
        (folder / "1").hardlink_to(real)
    elif kind == "fifo":
        os.mkfifo(folder / "1")
    elif kind == "folder":
        (folder / "1").mkdir()
    else:
        (folder / "1").write_bytes(os.urandom(100))
    spool = Spool(str(folder), OWN)
    assert (spool.look(), spool.refused) == ([], 1)
    assert (spool.look(), spool.refused) == ([], 1)
    assert real.read_bytes() == END


def test_what_a_hook_has_not_finished_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / ".1").mkdir()
    (tmp_path / ".1" / "new").write_bytes(END)
    spool = Spool(str(tmp_path), OWN)
    assert (spool.look(), spool.refused) == ([], 0)


def test_a_folder_that_is_missing_says_so(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        Spool(str(tmp_path / "nowhere"), OWN).look()
