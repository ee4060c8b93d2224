"""Every line of a file is read once, whatever happens to the file."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ajrd.logs.asowner import OwnerFiles
from ajrd.logs.lines import LINE_CAP, block_end, last_lines
from ajrd.logs.start import FileSeen, StartPoint, resume
from ajrd.logs.tailer import Chunk, FileTailer
from ajrd.model import ReadPosition
from tests.unit.logfiles import log_file


def from_zero(_seen: FileSeen) -> StartPoint:
    return StartPoint(0, "test")


def from_end(seen: FileSeen) -> StartPoint:
    return StartPoint(seen.size, "test")


def tail(path: Path, position: ReadPosition | None = None, **options: float) -> FileTailer:
    choose = from_zero if position is None else lambda seen: resume(seen, position)
    return FileTailer(log_file(str(path)), OwnerFiles(), choose, **options)  # type: ignore[arg-type]


def read_all(tailer: FileTailer, now: float = 0.0, final: bool = False) -> list[Chunk]:
    chunks = []
    while (chunk := tailer.poll(now, final=final)) is not None:
        chunks.append(chunk)
    return chunks


def text(chunks: list[Chunk]) -> bytes:
    return b"".join(chunk.block for chunk in chunks)


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "train.log"


def test_complete_lines_are_given_and_an_open_one_is_waited_for(path: Path) -> None:
    path.write_bytes(b"one\ntwo\nthr")
    tailer = tail(path)
    assert text(read_all(tailer)) == b"one\ntwo\n"
    append(path, b"ee\n")
    (chunk,) = read_all(tailer)
    assert (chunk.block, chunk.offset, chunk.line_no) == (b"three\n", 8, 2)


def test_an_open_line_is_given_when_it_has_stood_for_a_while_and_again_when_complete(
    path: Path,
) -> None:
    path.write_bytes(b"one\nSegmentation fa")
    tailer = tail(path, partial_after=1.0)
    assert text(read_all(tailer, 0.0)) == b"one\n"
    assert read_all(tailer, 0.9) == []
    (chunk,) = read_all(tailer, 1.0)
    assert chunk.partial
    assert chunk.block == b"Segmentation fa"
    assert chunk.offset == 4
    assert read_all(tailer, 9.0) == []
    append(path, b"ult\n")
    (chunk,) = read_all(tailer, 9.0)
    assert not chunk.partial
    assert chunk.block == b"Segmentation fault\n"
    assert chunk.offset == 4


def test_the_position_stays_before_an_open_line_until_the_end_is_final(path: Path) -> None:
    path.write_bytes(b"one\ntwo")
    tailer = tail(path)
    read_all(tailer, 0.0)
    read_all(tailer, 5.0)
    assert tailer.position
    assert tailer.position.offset == 4
    append(path, b"!")
    assert text(read_all(tailer, 5.0, final=True)) == b"two!"
    assert tailer.position
    assert (tailer.position.offset, tailer.position.line_no) == (8, 1)


def test_a_truncated_file_is_read_from_its_start(path: Path) -> None:
    path.write_bytes(b"a long old line\n")
    tailer = tail(path)
    read_all(tailer)
    path.write_bytes(b"new\n")
    (chunk,) = read_all(tailer)
    assert (chunk.block, chunk.offset, chunk.line_no, tailer.turns) == (b"new\n", 0, 0, 1)


@pytest.mark.parametrize("extra", [b"", b"and more\n"])
def test_a_file_rewritten_to_its_old_length_or_beyond_is_read_from_its_start(
    path: Path, extra: bytes
) -> None:
    path.write_bytes(b"old line 1\nold line 2\n")
    tailer = tail(path)
    read_all(tailer)
    path.write_bytes(b"new line 1\nnew line 2\n" + extra)
    os.utime(path, ns=(1, 1))
    assert text(read_all(tailer)) == b"new line 1\nnew line 2\n" + extra


def test_a_file_rewritten_with_the_same_end_is_known_by_its_start(path: Path) -> None:
    path.write_bytes(b"<1>" + b"x" * 300 + b"\n")
    tailer = tail(path)
    read_all(tailer)
    path.write_bytes(b"<2>" + b"x" * 300 + b"\n")
    os.utime(path, ns=(1, 1))
    assert text(read_all(tail(path, tailer.position))).startswith(b"<2>")
    assert text(read_all(tailer)).startswith(b"<2>")


def test_the_open_line_of_a_truncated_file_is_not_lost(path: Path) -> None:
    path.write_bytes(b"one\nSegmentation fault")
    tailer = tail(path)
    read_all(tailer)
    path.write_bytes(b"")
    chunks = read_all(tailer)
    assert [(chunk.block, chunk.partial) for chunk in chunks] == [(b"Segmentation fault", True)]


def test_a_rotated_file_is_read_to_its_end_before_the_new_one(path: Path) -> None:
    path.write_bytes(b"1\n")
    tailer = tail(path)
    read_all(tailer)
    append(path, b"2\n")
    path.rename(path.with_suffix(".1"))
    path.write_bytes(b"3\n")
    chunks = read_all(tailer)
    assert text(chunks) == b"2\n3\n"
    assert chunks[0].stream != chunks[1].stream


def test_what_is_written_to_a_renamed_file_later_is_still_read(path: Path) -> None:
    path.write_bytes(b"1\n")
    tailer = tail(path, linger=60.0)
    read_all(tailer, 0.0)
    old = path.with_suffix(".1")
    path.rename(old)
    path.write_bytes(b"2\n")
    read_all(tailer, 1.0)
    append(old, b"late\n")
    assert text(read_all(tailer, 2.0)) == b"late\n"
    assert tailer.position
    assert tailer.position.inode == path.stat().st_ino


def test_a_replaced_file_is_let_go_after_it_was_quiet(path: Path) -> None:
    path.write_bytes(b"1\n")
    tailer = tail(path, linger=60.0)
    read_all(tailer, 0.0)
    open_before = len(os.listdir("/proc/self/fd"))
    path.rename(path.with_suffix(".1"))
    path.write_bytes(b"2\n")
    read_all(tailer, 1.0)
    assert len(os.listdir("/proc/self/fd")) == open_before + 1
    read_all(tailer, 62.0)
    assert len(os.listdir("/proc/self/fd")) == open_before


def test_a_file_that_vanishes_and_comes_back_is_read_on(path: Path) -> None:
    path.write_bytes(b"1\n")
    tailer = tail(path)
    read_all(tailer)
    path.unlink()
    assert read_all(tailer) == []
    path.write_bytes(b"2\n")
    assert text(read_all(tailer)) == b"2\n"


def test_a_file_that_does_not_exist_yet_is_waited_for(path: Path) -> None:
    tailer = FileTailer(log_file(str(path)), OwnerFiles(), lambda seen: _start_if_new(seen))
    assert read_all(tailer) == []
    assert tailer.waiting
    path.write_bytes(b"1\n")
    assert text(read_all(tailer)) == b"1\n"


def _start_if_new(seen: FileSeen) -> StartPoint:
    return StartPoint(0 if seen.appeared else seen.size, "test")


def test_reading_goes_on_from_a_stored_position(path: Path) -> None:
    path.write_bytes(b"1\n2\n")
    tailer = tail(path)
    read_all(tailer)
    append(path, b"3\n")
    (chunk,) = read_all(tail(path, tailer.position))
    assert (chunk.block, chunk.offset, chunk.line_no) == (b"3\n", 4, 2)


def test_a_stored_position_in_another_file_or_text_does_not_count(path: Path) -> None:
    path.write_bytes(b"1\n2\n")
    tailer = tail(path)
    read_all(tailer)
    path.write_bytes(b"5\n6\n7\n")
    assert text(read_all(tail(path, tailer.position))) == b"5\n6\n7\n"


def test_a_log_that_was_rotated_while_nobody_read_is_found_by_its_inode(path: Path) -> None:
    path.write_bytes(b"1\n")
    tailer = tail(path)
    read_all(tailer)
    append(path, b"2\n")
    path.rename(path.with_suffix(".1"))
    path.write_bytes(b"3\n")
    assert text(read_all(tail(path, tailer.position))) == b"2\n3\n"


@pytest.mark.parametrize(
    ("written", "last"),
    [
        (b"one\ntwo\n", b"two\n"),
        (b"one\ntwo", b"two"),
        (b"one\n 5%\r10%\r\n", b"10%\r\n"),
        (b"one", b"one"),
        (b"", b""),
        (b"one\n" + b"x" * LINE_CAP, b""),
    ],
)
def test_reading_may_begin_at_the_last_line(tmp_path: Path, written: bytes, last: bytes) -> None:
    path = tmp_path / "a"
    path.write_bytes(written)
    at_last_line = FileTailer(
        log_file(str(path)), OwnerFiles(), lambda seen: StartPoint(seen.last_line(), "test")
    )
    assert text(read_all(at_last_line, final=True)) == last


def test_line_numbers_are_counted_when_reading_begins_at_the_end(path: Path) -> None:
    path.write_bytes(b"1\n2\n3\n")
    tailer = FileTailer(log_file(str(path)), OwnerFiles(), from_end)
    read_all(tailer)
    append(path, b"4\n")
    (chunk,) = read_all(tailer)
    assert (chunk.block, chunk.line_no) == (b"4\n", 3)


def test_bytes_are_passed_on_as_they_are(path: Path) -> None:
    odd = b"a\0b\xff\xfe\r\x1b[31m\n\0\0\n"
    path.write_bytes(odd)
    assert text(read_all(tail(path))) == odd


def test_a_hole_of_a_terabyte_is_stepped_over(path: Path) -> None:
    with path.open("wb") as file:
        file.write(b"1\n")
        file.truncate(1 << 40)
        file.seek(1 << 40)
        file.write(b"after\n")
    tailer = tail(path)
    assert text(read_all(tailer)).lstrip(b"1\n").endswith(b"after\n")
    assert tailer.position
    assert tailer.position.offset == (1 << 40) + 6


def test_a_tailer_that_stays_leaves_a_truncated_file_to_the_next_attempt(path: Path) -> None:
    path.write_bytes(b"old\n")
    tailer = tail(path)
    read_all(tailer, final=True)
    tailer.stay()
    path.write_bytes(b"n\n")
    assert read_all(tailer, final=True) == []
    assert tailer.turns == 1


def test_a_line_over_the_cap_comes_in_pieces_that_count_as_one_line(path: Path) -> None:
    path.write_bytes(b"x" * (LINE_CAP + 10) + b"\nnext\n")
    chunks = read_all(tail(path))
    assert [(len(c.block), c.offset, c.line_no) for c in chunks] == [
        (LINE_CAP, 0, 0),
        (16, LINE_CAP, 0),
    ]


def test_a_long_line_is_cut_behind_a_carriage_return_if_it_has_one() -> None:
    data = b"10%\r20%\r" + b"y" * LINE_CAP
    assert block_end(data) == 8


def test_blocks_do_not_depend_on_how_much_was_read_at_a_time() -> None:
    data = b"a\n" + b"x" * (3 * LINE_CAP) + b"\nb\nc"
    cuts, start = [], 0
    while end := block_end(data[start:]):
        start += end
        cuts.append(start)
    assert cuts == [2, 2 + LINE_CAP, 2 + 2 * LINE_CAP, len(data) - 1]


def test_context_is_whole_lines() -> None:
    assert last_lines(b"1\n2\n3\n4\n", 3, 100) == b"2\n3\n4\n"
    assert last_lines(b"1\n22222\n3\n", 3, 4) == b"3\n"
    assert last_lines(b"1\n", 3, 100) == b"1\n"


class LogOfAnyFate(RuleBasedStateMachine):
    """Appends, truncations, rotations, replacements, polls and restarts in any order.

    ``due`` holds the complete lines that must have been given; lines that are truncated away
    may be lost unless a poll came between. Each line is unlike all others.
    """

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.path = self.folder / "log"
        self.path.write_bytes(b"")
        self.count = 0
        self.open_line = b""
        self.unread: list[bytes] = []
        self.given: list[bytes] = []
        self.owed: list[bytes] = []
        self.rotated = self.truncated = False
        self.now = 0.0
        self.stored: ReadPosition | None = None
        self.tailer = tail(self.path)

    def teardown(self) -> None:
        self.tailer.close()
        shutil.rmtree(self.folder)

    def _new_line(self, size: int) -> bytes:
        self.count += 1
        return f"<{self.count}>".encode() + b"." * size + b"\n"

    @rule(sizes=st.lists(st.integers(0, 600), max_size=4))
    def write_lines(self, sizes: list[int]) -> None:
        for size in sizes:
            line = self._new_line(size)
            append(self.path, line)
            self.unread.append(self.open_line + line)
            self.open_line = b""

    @rule(size=st.integers(0, 300))
    def write_the_start_of_a_line(self, size: int) -> None:
        data = self._new_line(size)[:-1]
        append(self.path, data)
        self.open_line += data

    @rule()
    def truncate(self) -> None:
        self._poll(0.0)
        self.path.write_bytes(b"")
        self.unread, self.open_line = [], b""
        self.truncated = True

    @rule(size=st.integers(0, 2000))
    def truncate_and_write_on(self, size: int) -> None:
        """The new content may be longer than the old before anybody looks."""
        self.truncate()
        self.write_lines([size])
        os.utime(self.path, (self.count, self.count))

    @precondition(lambda self: not self.rotated)
    @rule(unlink=st.booleans())
    def replace(self, unlink: bool) -> None:
        """Renamed away or deleted; of a deleted file only the open descriptor knows.

        A file that is truncated *and* renamed while nobody looks cannot be known again.
        """
        if self.tailer.waiting or unlink or self.truncated:
            self._poll(0.0)
        if unlink:
            self.path.unlink()
        else:
            self.path.rename(self.folder / f"log.{self.count}.{len(self.given)}")
        self.path.write_bytes(b"")
        self.open_line = b""
        self.rotated = True

    @rule(wait=st.sampled_from([0.0, 0.4, 2.0]))
    def poll(self, wait: float) -> None:
        self._poll(wait)

    def _poll(self, wait: float) -> None:
        self.now += wait
        for chunk in read_all(self.tailer, self.now):
            if not chunk.partial:
                self.given += chunk.block.splitlines(keepends=True)
        self.owed += self.unread
        self.unread = []
        self.rotated = self.truncated = False

    @rule()
    def stop_and_resume(self) -> None:
        self.stored = self.tailer.position or self.stored
        self.tailer.close()
        self.tailer = tail(self.path, self.stored)

    @invariant()
    def each_line_was_given_once(self) -> None:
        assert self.given == self.owed


LogOfAnyFate.TestCase.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
test_each_line_is_given_once_in_any_fate_of_the_log = LogOfAnyFate.TestCase
