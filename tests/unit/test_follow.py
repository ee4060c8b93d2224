"""Following many logs: found lines and positions go to the sink together, and once."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import textwrap
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ajrd.errors import NotLeader, StoreUnavailable
from ajrd.logs.backlog import MOST_OF_A_FILE
from ajrd.logs.feed import LogBatch
from ajrd.logs.follow import AttemptStart, LogFollower
from ajrd.logs.lanes import Lanes
from ajrd.logs.mounts import Mount, Mounts, parse_mountinfo
from tests.unit.logfiles import Heard, HungFiles, Kept, WordDetector, log_file

QUICK: dict[str, Any] = {"poll_min": 0.01, "poll_max": 0.05, "report_every": 0.05, "watch": False}


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "slurm-7.out"


@asynccontextmanager
async def following(kept: Kept, **options: Any) -> AsyncIterator[LogFollower]:
    follower = LogFollower(options.pop("sink", kept), **(QUICK | options))
    task = asyncio.create_task(follower.run())
    try:
        yield follower
    finally:
        task.cancel()
        await asyncio.wait([task], timeout=10)
        assert task.cancelled()


async def until(condition: Callable[[], object], limit: float = 10.0) -> None:
    async with asyncio.timeout(limit):
        while not condition():
            await asyncio.sleep(0.005)


def start(kept: Kept, restarts: int = 0, began: datetime | None = None) -> AttemptStart:
    """An attempt that began a second ago, or at ``began``."""
    moment = began or datetime.now(UTC) - timedelta(seconds=1)
    return AttemptStart(
        make_detector=WordDetector,
        began=moment,
        restarts=restarts,
        marks=("7",),
        positions=kept.positions_at,
    )


async def second_attempt(kept: Kept) -> AttemptStart:
    """An attempt that begins now. File times lag behind the clock by a tick of the kernel."""
    begins = start(kept, restarts=1, began=datetime.now(UTC))
    await asyncio.sleep(0.02)
    return begins


def append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


async def test_a_crash_line_reaches_the_sink_with_the_position_behind_it(
    kept: Kept, path: Path
) -> None:
    path.write_text("one\n")
    async with following(kept) as follower:
        await follower.follow(1, [log_file(str(path))], start(kept))
        await until(lambda: kept.positions())
        append(path, "crash\n")
        await until(lambda: kept.texts())
    (batch,) = [batch for batch in kept.batches if batch.found]
    assert (batch.attempt_id, batch.source) == (1, str(path))
    assert batch.position
    assert (batch.position.offset, batch.position.line_no) == (10, 2)
    assert batch.found[0].before == ("one",)


async def test_an_open_crash_line_is_told_once_though_the_line_grows(
    kept: Kept, path: Path
) -> None:
    path.write_text("one\ncrash")
    async with following(kept, partial_after=0.05) as follower:
        await follower.follow(1, [log_file(str(path))], start(kept))
        await until(lambda: kept.texts())
        append(path, " of rank 0")
        await asyncio.sleep(0.2)
        append(path, "\nsecond crash\n")
        await until(lambda: len(kept.texts()) > 1)
        assert await follower.drain(1)
    assert kept.texts() == ["crash", "second crash"]
    assert next(batch.found for batch in kept.batches if batch.found)[0].before == ("one",)


async def test_an_open_crash_line_told_before_a_restart_is_not_told_again(
    kept: Kept, path: Path
) -> None:
    path.write_text("one\ncrash")
    for _ in range(2):
        async with following(kept, partial_after=0.05) as follower:
            await follower.follow(1, [log_file(str(path))], start(kept))
            await until(lambda: kept.texts())
            await follower.drain(1)
        append(path, " of rank 0\n")
    assert kept.texts() == ["crash"]


async def test_progress_is_reported_with_the_time_it_was_read(kept: Kept, path: Path) -> None:
    path.write_text("step 1\nstep 2\n")
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    async with following(kept, now=lambda: moment) as follower:
        await follower.follow(1, [log_file(str(path))], start(kept))
        await until(lambda: kept.batches)
    newest = kept.batches[0]
    assert newest.progress
    assert newest.progress.text == "step 2"
    assert newest.progress_at == moment


async def test_draining_reads_what_stands_there_now_open_line_and_all(
    kept: Kept, path: Path
) -> None:
    async with following(kept, poll_min=5.0, poll_max=5.0, partial_after=60.0) as follower:
        await follower.follow(1, [log_file(str(path))], start(kept))
        await until(lambda: follower.status(1)[0].read_at)
        path.write_text("step 1\ncrash without end")
        assert await follower.drain(1)
        assert kept.texts() == ["crash without end"]
    assert kept.batches[-1].position
    assert kept.batches[-1].position.offset == 24


async def test_a_file_that_does_not_exist_can_be_drained_and_one_that_is_closed_cannot(
    kept: Kept, tmp_path: Path
) -> None:
    async with following(kept) as follower:
        await follower.follow(1, [log_file(str(tmp_path / "none"))], start(kept))
        await follower.follow(2, [log_file("/dev/null")], start(kept))
        assert await follower.drain(1) is True
        assert await follower.drain(2) is False
        assert "not a regular file" in follower.status(2)[0].error


async def test_following_twice_changes_nothing(kept: Kept, path: Path) -> None:
    path.write_text("crash\n")
    async with following(kept) as follower:
        for _ in range(3):
            await follower.follow(1, [log_file(str(path))], start(kept))
            assert await follower.drain(1)
        assert len(follower.status(1)) == 1
    assert kept.texts() == ["crash"]


# while the sink is away


async def last_heard(heard: Heard, text: str) -> None:
    await until(lambda: heard.texts[-1:] == [text])


async def refused(kept: Kept, findings: int) -> None:
    """Waits for an offer of so many findings that is refused."""
    await until(lambda: any(len(batch.found) == findings for batch in kept.refused))


async def test_reading_goes_on_while_nothing_can_be_kept(kept: Kept, path: Path) -> None:
    path.touch()
    kept.down = True
    heard = Heard()
    async with following(kept, heard=heard) as follower:
        await follower.follow(1, [log_file(str(path))], start(kept))
        for number in range(4):
            append(path, f"step\ncrash {number}\n")
            await last_heard(heard, f"crash {number}")
        await refused(kept, 4)
        kept.down = False
        await until(lambda: kept.batches)
        assert await follower.drain(1)
    assert kept.texts() == heard.texts == [f"crash {number}" for number in range(4)]
    assert kept.batches[0].progress == heard.batches[-1].progress


async def test_no_position_is_offered_without_the_findings_before_it(
    kept: Kept, path: Path
) -> None:
    """Every crash line in front of an offered position is kept already or offered with it."""
    differ: list[tuple[int, int]] = []

    async def strict(batch: LogBatch) -> None:
        assert batch.position is not None
        there = path.read_bytes()[: batch.position.offset].count(b"crash")
        known = len(kept.texts()) + len(batch.found)
        if there != known:
            differ.append((there, known))
        await kept(batch)

    path.touch()
    heard = Heard()
    async with following(kept, sink=strict, heard=heard) as follower:
        await follower.follow(1, [log_file(str(path))], start(kept))
        for away in (2, 3, 4):
            kept.down = True
            for number in range(away):
                append(path, f"line\ncrash {number}\nline\n")
                await last_heard(heard, f"crash {number}")
            await refused(kept, away)
            kept.down = False
            await until(lambda: kept.texts() == heard.texts)
        assert await follower.drain(1)
    assert differ == []
    assert len(kept.texts()) == 9


class Slow:
    """A sink that is ``busy`` with its first batch until it may be ``done``."""

    def __init__(self, kept: Kept) -> None:
        self.kept = kept
        self.busy, self.done = asyncio.Event(), asyncio.Event()

    async def __call__(self, batch: LogBatch) -> None:
        self.busy.set()
        await self.done.wait()
        await self.kept(batch)


async def test_what_is_read_while_the_sink_is_busy_is_kept_after_it(kept: Kept, path: Path) -> None:
    path.write_text("crash 1\n")
    heard, slow = Heard(), Slow(kept)
    async with following(kept, sink=slow, heard=heard) as follower:
        await follower.follow(1, [log_file(str(path))], start(kept))
        await slow.busy.wait()
        append(path, "crash 2\n")
        await last_heard(heard, "crash 2")
        slow.done.set()
        assert await follower.drain(1)
    assert [[f.text for f in batch.found] for batch in kept.batches] == [["crash 1"], ["crash 2"]]


async def test_the_last_position_is_reported_though_the_sink_was_busy_when_the_file_was_let_go(
    kept: Kept, path: Path
) -> None:
    path.write_text("crash 1\n")
    slow = Slow(kept)
    async with following(kept, sink=slow, report_every=3600.0) as follower:
        await follower.follow(1, [log_file(str(path))], start(kept))
        await slow.busy.wait()
        append(path, "one\n")
        await until(lambda: follower.status(1)[0].lines == 2)
        await follower.unfollow(1)
        slow.done.set()
        await until(lambda: kept.positions()[0][1].line_no == 2 if kept.batches else False)


async def test_a_drain_waits_for_its_own_reading_not_for_what_was_read_before(
    kept: Kept, path: Path
) -> None:
    path.write_text("crash 1\n")
    slow, hanging = Slow(kept), threading.Event()
    files = HungFiles(lambda _path: hanging.is_set())
    try:
        rarely = {"poll_min": 60.0, "poll_max": 60.0}
        async with following(kept, sink=slow, files=files, **rarely) as follower:
            await follower.follow(1, [log_file(str(path))], start(kept))
            await slow.busy.wait()
            append(path, "crash 2\n")
            hanging.set()
            drained = asyncio.create_task(follower.drain(1, limit=10.0))
            await until(files.hung.is_set)
            slow.done.set()
            await until(lambda: kept.texts() == ["crash 1"])
            await asyncio.sleep(0)
            assert not drained.done()
            files.let_go()
            assert await drained
            assert kept.texts() == ["crash 1", "crash 2"]
    finally:
        files.let_go()


async def test_a_file_of_which_too_much_waits_is_read_on_when_it_is_kept(
    kept: Kept, tmp_path: Path
) -> None:
    loud, quiet = tmp_path / "7.loud", tmp_path / "7.quiet"
    loud.write_text("crash\n" * (MOST_OF_A_FILE + 1))
    quiet.touch()
    kept.down = True
    heard = Heard()
    async with following(kept, heard=heard) as follower:
        files = [log_file(str(path)) for path in (loud, quiet)]
        await follower.follow(1, files, start(kept))
        await until(lambda: len(heard.texts) == MOST_OF_A_FILE + 1)
        append(loud, "crash, the last\n")
        for number in range(5):
            append(quiet, f"crash {number}\n")
            await last_heard(heard, f"crash {number}")
        assert "crash, the last" not in heard.texts
        assert await follower.drain(1, limit=0.1, kept_needed=False) is False
        kept.down = False
        await until(lambda: "crash, the last" in kept.texts())
        assert await follower.drain(1)
    assert len(kept.texts()) == len(heard.texts) == MOST_OF_A_FILE + 7


async def test_when_too_much_of_all_files_waits_none_is_read(
    kept: Kept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ajrd.logs.follow.MOST_OF_ALL", 10)
    loud, other = tmp_path / "7.loud", tmp_path / "7.other"
    loud.write_text("crash\n" * 11)
    kept.down = True
    async with following(kept) as follower:
        await follower.follow(1, [log_file(str(loud))], start(kept))
        await until(lambda: kept.refused)
        other.write_text("crash of another\n")
        await follower.follow(2, [log_file(str(other))], start(kept))
        offers = len(kept.refused)
        await until(lambda: len(kept.refused) > offers + 1)
        assert {batch.attempt_id for batch in kept.refused} == {1}
        kept.down = False
        await until(lambda: kept.texts(2))
    assert (len(kept.texts(1)), kept.texts(2)) == (11, ["crash of another"])


async def test_a_drain_may_do_without_keeping(kept: Kept, path: Path) -> None:
    path.write_text("crash 1\n")
    kept.down = True
    heard = Heard()
    async with following(kept, heard=heard, poll_min=60.0, poll_max=60.0) as follower:
        await follower.follow(1, [log_file(str(path))], start(kept))
        await until(lambda: kept.refused)
        append(path, "crash 2")
        assert await follower.drain(1, kept_needed=False) is True
        assert heard.texts == ["crash 1", "crash 2"]
        assert await follower.drain(1, limit=0.1) is False
        kept.down = False
        assert await follower.drain(1) is True
    assert kept.texts() == ["crash 1", "crash 2"]


async def test_what_was_heard_but_not_kept_before_a_restart_is_read_again(
    kept: Kept, path: Path
) -> None:
    path.write_text("crash 1\n")
    async with following(kept) as follower:
        await follower.follow(1, [log_file(str(path))], start(kept))
        await until(lambda: kept.texts())
        kept.down = True
        for number in (2, 3):
            append(path, f"crash {number}\n")
            await refused(kept, number - 1)
    kept.down = False
    async with following(kept) as follower:
        await follower.follow(1, [log_file(str(path))], start(kept))
        assert await follower.drain(1)
    assert kept.texts() == ["crash 1", "crash 2", "crash 3"]


async def test_nothing_is_lost_or_told_twice_across_restarts_amid_refusals(
    kept: Kept, path: Path
) -> None:
    path.write_text("crash 1\n")
    kept.down = True
    async with following(kept) as follower:
        await follower.follow(1, [log_file(str(path))], start(kept))
        await until(lambda: kept.refused)
    kept.down = False
    for number in (2, 3):
        async with following(kept) as follower:
            append(path, f"crash {number}\n")
            await follower.follow(1, [log_file(str(path))], start(kept))
            assert await follower.drain(1)
    assert kept.texts() == ["crash 1", "crash 2", "crash 3"]


async def test_the_last_position_is_handed_over_at_the_end(kept: Kept, path: Path) -> None:
    path.write_text("one\n")
    async with following(kept, report_every=3600.0) as follower:
        await follower.follow(1, [log_file(str(path))], start(kept))
        await until(lambda: kept.batches)
        append(path, "two\n")
        await until(lambda: follower.status(1)[0].lines == 2)
        assert len(kept.batches) == 1
    assert kept.batches[-1].position
    assert kept.batches[-1].position.offset == 8


async def test_an_appended_log_gives_each_attempt_its_own_lines(kept: Kept, path: Path) -> None:
    path.write_text("crash 1, unfinished")
    async with following(kept) as follower:
        await follower.follow(1, [log_file(str(path))], start(kept))
        assert await follower.drain(1)
        second = await second_attempt(kept)
        append(path, " line\ncrash 2\n")
        await follower.follow(2, [log_file(str(path))], second)
        assert await follower.drain(2)
    assert kept.texts(2) == ["crash 2"]


async def test_a_truncated_log_with_the_very_same_lines_is_read_again(
    kept: Kept, path: Path
) -> None:
    """A job that fails alike each time writes the same bytes anew."""
    path.write_text("step\ncrash\n")
    async with following(kept, poll_min=60.0, poll_max=60.0) as follower:
        await follower.follow(1, [log_file(str(path))], start(kept))
        assert await follower.drain(1)
        second = await second_attempt(kept)
        path.write_text("step\ncrash\n")
        await follower.follow(2, [log_file(str(path))], second)
        assert await follower.drain(2)
    assert kept.texts(1) == kept.texts(2) == ["crash"]


@pytest.mark.parametrize("watch", [False, True])
async def test_lines_appended_after_the_drain_belong_to_the_next_attempt(
    kept: Kept, path: Path, watch: bool
) -> None:
    path.write_text("first attempt\n")
    async with following(kept, watch=watch) as follower:
        await follower.follow(1, [log_file(str(path))], start(kept))
        assert await follower.drain(1)
        second = await second_attempt(kept)
        append(path, "crash\n")
        await asyncio.sleep(0.3)
        await follower.follow(2, [log_file(str(path))], second)
        assert await follower.drain(2)
    assert kept.texts(1) == []
    assert kept.texts(2) == ["crash"]


async def test_draining_again_reads_on_but_follows_no_truncation(kept: Kept, path: Path) -> None:
    path.write_text("first attempt\n")
    async with following(kept) as follower:
        await follower.follow(1, [log_file(str(path))], start(kept))
        assert await follower.drain(1)
        append(path, "crash of the first\n")
        assert await follower.drain(1)
        second = await second_attempt(kept)
        path.write_text("crash\n")
        assert await follower.drain(1)
        await follower.follow(2, [log_file(str(path))], second)
        assert await follower.drain(2)
    assert kept.texts(1) == ["crash of the first"]
    assert kept.texts(2) == ["crash"]


async def test_a_log_of_an_earlier_job_does_not_speak_for_this_one(
    kept: Kept, tmp_path: Path
) -> None:
    path = tmp_path / "train.log"
    path.write_text("crash of yesterday\n")
    os.utime(path, (1, 1))
    async with following(kept) as follower:
        await follower.follow(1, [log_file(str(path))], start(kept, began=datetime.now(UTC)))
        await until(lambda: follower.status(1)[0].offset)
        append(path, "crash of today\n")
        await until(lambda: kept.texts())
    assert kept.texts() == ["crash of today"]


async def test_unfollowing_lets_go_of_the_file_and_reports_its_position(
    kept: Kept, path: Path
) -> None:
    path.write_text("one\n")
    async with following(kept) as follower:
        await follower.follow(1, [log_file(str(path))], start(kept))
        await until(lambda: follower.status(1)[0].lines)
        await follower.unfollow(1)
        assert follower.status(1) == []
        assert follower.attempts() == frozenset()
        await until(lambda: str(path) not in _open_files())
        append(path, "crash\n")
        await asyncio.sleep(0.1)
    assert kept.texts() == []
    assert kept.positions()[0][1].offset == 4


def _open_files() -> set[str]:
    links = (Path("/proc/self/fd") / name for name in os.listdir("/proc/self/fd"))
    found = set()
    for link in links:
        try:
            found.add(os.readlink(link))
        except OSError:
            continue
    return found


async def test_a_detector_that_fails_stops_only_its_own_file(kept: Kept, tmp_path: Path) -> None:
    class Fragile(WordDetector):
        def feed(self, block: bytes, offset: int, line_no: int) -> Any:
            if b"poison" in block:
                raise ValueError("poison")
            return super().feed(block, offset, line_no)

    (tmp_path / "7.a").write_text("poison\n")
    (tmp_path / "7.b").write_text("crash\n")
    follower = LogFollower(kept, **QUICK)
    task = asyncio.create_task(follower.run())
    files = [log_file(str(tmp_path / name)) for name in ("7.a", "7.b")]
    await follower.follow(1, files, replace(start(kept), make_detector=Fragile))
    await until(lambda: kept.texts())
    assert not task.done()
    task.cancel()
    await asyncio.wait([task])


async def test_positions_that_cannot_be_looked_up_are_the_callers_to_ask_again(
    kept: Kept, path: Path
) -> None:
    async def down(_path: str) -> list[Any]:
        raise StoreUnavailable("down")

    async with following(kept) as follower:
        unknown = replace(start(kept), positions=down)
        with pytest.raises(StoreUnavailable):
            await follower.follow(1, [log_file(str(path))], unknown)
        assert follower.status(1) == []


# mounts that hang


def two_mounts(tmp_path: Path) -> Mounts:
    """As if the folder ``hung`` were a mount of its own."""
    (tmp_path / "hung").mkdir()
    table = f"1 0 8:1 / / rw - ext4 /dev/a rw\n2 1 0:9 / {tmp_path}/hung rw - nfs4 srv:/ rw\n"
    return Mounts(lambda: table)


async def test_a_mount_that_hangs_holds_up_nothing_but_itself(kept: Kept, tmp_path: Path) -> None:
    mounts = two_mounts(tmp_path)
    files = HungFiles(lambda path: "/hung/" in path)
    bad, good = tmp_path / "hung" / "7.log", tmp_path / "7.log"
    bad.write_text("crash of the hung\n")
    good.write_text("crash of the good\n")
    try:
        async with following(kept, files=files, mounts=mounts) as follower:
            await follower.follow(1, [log_file(str(bad))], start(kept))
            await until(files.hung.is_set)
            await follower.follow(2, [log_file(str(good))], start(kept))
            assert await follower.drain(2) is True
            assert await follower.drain(1, limit=0.1) is False
            assert kept.texts(2) == ["crash of the good"]
            files.let_go()
            assert await follower.drain(1) is True
            assert kept.texts(1) == ["crash of the hung"]
    finally:
        files.let_go()


async def test_a_symlink_onto_a_hung_mount_is_read_in_the_lane_of_that_mount(
    kept: Kept, tmp_path: Path
) -> None:
    mounts = two_mounts(tmp_path)
    files = HungFiles(lambda path: "/link/" in path)
    (tmp_path / "hung" / "7.log").write_text("crash\n")
    (tmp_path / "link").symlink_to(tmp_path / "hung")
    (tmp_path / "7.log").write_text("crash\n")
    try:
        async with following(kept, files=files, mounts=mounts) as follower:
            await follower.follow(1, [log_file(str(tmp_path / "link" / "7.log"))], start(kept))
            await until(files.hung.is_set)
            await follower.follow(2, [log_file(str(tmp_path / "7.log"))], start(kept))
            assert await follower.drain(2) is True
    finally:
        files.let_go()


async def test_status_says_that_a_mount_does_not_answer(
    kept: Kept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ajrd.logs.follow._SILENT", 0.05)
    files = HungFiles(lambda path: "/hung/" in path)
    try:
        async with following(kept, files=files, mounts=two_mounts(tmp_path)) as follower:
            bad = tmp_path / "hung" / "7.log"
            await follower.follow(1, [log_file(str(bad))], start(kept))
            await until(lambda: follower.status(1)[0].error)
            error = follower.status(1)[0].error
            assert f"{tmp_path}/hung has not answered for" in error
    finally:
        files.let_go()


def test_the_process_can_end_while_a_lane_hangs(tmp_path: Path) -> None:
    program = textwrap.dedent(
        """
        import asyncio, threading
        from ajrd.logs.lanes import Lanes

        async def main():
            try:
                await Lanes("test").run("/hung", threading.Event().wait, 0.1)
            except TimeoutError:
                print("gave up")

        asyncio.run(main())
        """
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=root, capture_output=True, text=True, timeout=30
    )
    assert (done.returncode, done.stdout) == (0, "gave up\n")


async def answers_again(lanes: Lanes, name: str) -> int:
    """What a lane answers as soon as it takes work again."""
    while True:
        with suppress(TimeoutError):
            return await lanes.run(name, lambda: 5, 60)
        await asyncio.sleep(0.001)


async def test_work_does_not_pile_up_behind_a_lane_that_hangs() -> None:
    answer, lanes = threading.Event(), Lanes("test")
    try:
        with pytest.raises(TimeoutError):
            await lanes.run("/hung", answer.wait, 0.05)
        ran: list[int] = []
        with pytest.raises(TimeoutError, match="has not answered"):
            await lanes.run("/hung", lambda: ran.append(1), 60)
        assert await lanes.run("/other", lambda: 5, 60) == 5
        answer.set()
        assert await answers_again(lanes, "/hung") == 5
        assert ran == []
    finally:
        answer.set()
        lanes.stop()


def test_the_longest_mount_point_counts_and_names_are_unescaped() -> None:
    table = parse_mountinfo(
        "1 0 8:1 / / rw shared:1 - ext4 /dev/a rw\n"
        "2 1 0:9 / /data\\040set rw - nfs4 srv:/ rw,addr=1\n"
    )
    assert table["/data set"] == Mount("/data set", "nfs4")
    mounts = Mounts(lambda: "1 0 8:1 / / rw - ext4 a rw\n2 1 0:9 / /data rw - nfs4 s:/ rw\n")
    assert mounts.of("/data/x/y").reopen
    assert not mounts.of("/data/x/y").local
    assert mounts.of("/dataset/x").local
    assert mounts.of("/data/../x").local


def test_a_walk_stops_where_another_mount_begins(tmp_path: Path) -> None:
    """Also where that mount lies higher up in the tree than the one the path is on."""
    home, hung = tmp_path / "home" / "of" / "all", tmp_path / "h"
    home.mkdir(parents=True)
    (home / "away").symlink_to(hung)
    (home / "near").symlink_to("far/../file")
    (home / "far").mkdir()
    points = [f"{n} 0 0:{n} / {point} rw - nfs4 s:/ rw" for n, point in enumerate((home, hung), 2)]
    mounts = Mounts(lambda: "\n".join(["1 0 8:1 / / rw - ext4 a rw", *points]))
    assert mounts.walk(f"{home}/away/x/7.log") == (f"{hung}/x/7.log", False)
    assert mounts.walk(f"{home}/near") == (f"{home}/file", True)
    assert mounts.walk(f"{home}/none/7.log") == (f"{home}/none/7.log", True)


def test_a_loop_of_symlinks_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError, match="symbolic links"):
        Mounts().walk(str(tmp_path / "a"))


# inotify


async def test_a_local_write_is_read_before_its_next_poll(kept: Kept, tmp_path: Path) -> None:
    path = tmp_path / "7.log"
    path.write_text("one\n")
    slow = {"poll_min": 3600.0, "poll_max": 3600.0}
    async with following(kept, watch=True, **slow) as follower:
        if not Mounts().of(str(path)).local:
            pytest.skip("the temporary folder is on no local file system")
        await follower.follow(1, [log_file(str(path))], start(kept))
        await until(lambda: follower.status(1)[0].lines)
        async with asyncio.timeout(10):
            while not kept.texts():
                append(path, "crash\n")
                await asyncio.sleep(0.1)


async def test_a_folder_that_vanishes_does_not_stop_the_others(kept: Kept, tmp_path: Path) -> None:
    gone, stays = tmp_path / "gone", tmp_path / "stays"
    for folder in (gone, stays):
        folder.mkdir()
        (folder / "7.log").write_text("one\n")
    async with following(kept, watch=True) as follower:
        files = [log_file(str(folder / "7.log")) for folder in (gone, stays)]
        await follower.follow(1, files, start(kept))
        await until(lambda: all(status.lines for status in follower.status(1)))
        shutil.rmtree(gone)
        append(stays / "7.log", "crash\n")
        await until(lambda: kept.texts())
        assert await follower.drain(1)


async def test_who_leads_no_more_lets_go_of_all_files(kept: Kept, tmp_path: Path) -> None:
    """Its last positions are refused by the store."""
    threads = set(threading.enumerate())
    replaced = False

    async def sink(batch: LogBatch) -> None:
        if replaced:
            raise NotLeader("another ajrd has taken the lease")
        await kept(batch)

    paths = [tmp_path / f"{number}.out" for number in range(2)]
    for path in paths:
        path.write_text("one\n")
    async with following(kept, sink=sink, report_every=60) as follower:
        for number, path in enumerate(paths):
            await follower.follow(number, [log_file(str(path))], start(kept))
        await until(lambda: len(kept.positions()) == len(paths))
        for path in paths:
            append(path, "two\n")
        await until(lambda: all(follower.status(n)[0].lines == 2 for n in range(len(paths))))
        replaced = True
    await until(lambda: set(threading.enumerate()) <= threads)
    opened = {os.path.realpath(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")}
    assert not opened & {str(path) for path in paths}
