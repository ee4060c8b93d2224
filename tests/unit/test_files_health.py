"""How reading goes: what is followed, what cannot be read, how much was read, how far behind."""

from __future__ import annotations

import asyncio
import os
import threading
from dataclasses import replace
from pathlib import Path

from ajrd.detect.findings import Findings
from ajrd.logs.backlog import MOST_OF_A_FILE
from ajrd.logs.lines import BLOCK_CAP
from ajrd.logs.source import MANY
from ajrd.logwatch import LogWatch
from ajrd.slurm.memory import MemorySlurm
from ajrd.store.store import Store
from tests.loki.world import JUDGEMENT, World, now
from tests.unit.logfiles import HungFiles, Kept, WordDetector, log_file
from tests.unit.samples import directive
from tests.unit.test_follow import append, following, start, until


async def test_nothing_followed_is_nothing_behind() -> None:
    async with following(Kept()) as follower:
        health = follower.health()
    assert (health.followed, health.lag, health.why) == (0, 0.0, "")


async def test_every_byte_and_line_is_counted_once_also_after_a_truncation(tmp_path: Path) -> None:
    path, kept = tmp_path / "slurm-7.out", Kept()
    path.write_text("one\ntwo\n")
    async with following(kept) as follower:
        await follower.follow(1, [log_file(str(path))], start(kept))
        await until(lambda: follower.health().lines == 2)
        append(path, "three\nopen")
        await until(lambda: follower.health().lines == 3)
        path.write_text("new\n")
        await until(lambda: follower.health().lines == 4)
        assert follower.health().bytes == len("one\ntwo\nthree\nnew\n")


async def test_a_file_that_is_not_there_and_one_that_is_none_are_told_apart(tmp_path: Path) -> None:
    kept = Kept()
    async with following(kept) as follower:
        files = [log_file(str(tmp_path / "none.out")), log_file(str(tmp_path))]
        await follower.follow(1, files, start(kept))
        await until(lambda: follower.health().unreadable)
        health = follower.health()
    assert (health.followed, health.waiting, health.unreadable) == (2, 2, 1)
    assert str(tmp_path) in health.why


async def test_a_file_system_that_hangs_leaves_its_files_behind(tmp_path: Path) -> None:
    path, kept = tmp_path / "slurm-7.out", Kept()
    path.write_text("one\n")
    hung = HungFiles(lambda name: name == str(path))
    async with following(kept, files=hung) as follower:
        await follower.follow(1, [log_file(str(path))], start(kept))
        await until(hung.hung.is_set)
        await until(lambda: follower.health().lag > 0.3)
        hung.let_go()
        await until(lambda: follower.health().lag < 0.2)


async def test_what_the_store_does_not_take_is_unkept_and_then_leaves_the_file_behind(
    tmp_path: Path,
) -> None:
    path, kept = tmp_path / "slurm-7.out", Kept(down=True)
    path.write_text("crash\n" * (MOST_OF_A_FILE + 1))
    async with following(kept) as follower:
        await follower.follow(1, [log_file(str(path))], start(kept))
        await until(lambda: follower.health().unkept > MOST_OF_A_FILE)
        await until(lambda: follower.health().lag > 0.3)
        kept.down = False
        await until(lambda: follower.health().unkept == 0)
        await until(lambda: follower.health().lag < 0.2)


async def test_an_attempt_that_was_read_to_its_end_is_followed_no_more(tmp_path: Path) -> None:
    path, kept = tmp_path / "slurm-7.out", Kept()
    path.write_text("one\n")
    async with following(kept) as follower:
        await follower.follow(1, [log_file(str(path))], start(kept))
        await until(lambda: follower.health().lines == 1)
        assert follower.health().followed == 1
        assert await follower.drain(1)
        assert follower.health().followed == 0


class Halting(WordDetector):
    """Judges a block when it is let, and says when it has one."""

    def __init__(self) -> None:
        super().__init__()
        self.has, self.may = threading.Semaphore(0), threading.Semaphore(0)

    def feed(self, block: bytes, offset: int, line_no: int) -> Findings:
        self.has.release()
        self.may.acquire()
        return super().feed(block, offset, line_no)


async def test_a_file_is_behind_until_its_end_was_reached_however_much_was_read(
    tmp_path: Path,
) -> None:
    path, kept, halting = tmp_path / "slurm-7.out", Kept(), Halting()
    path.write_bytes(b"x" * 99 + b"\n" + b"crash\n" * MANY + b"." * BLOCK_CAP)
    begins = replace(start(kept), make_detector=lambda: halting)
    async with following(kept) as follower:
        await follower.follow(1, [log_file(str(path))], begins)
        await asyncio.to_thread(halting.has.acquire)
        await until(lambda: follower.health().lag > 0.3)
        halting.may.release()
        await asyncio.to_thread(halting.has.acquire)
        assert follower.health().lag > 0.3
        halting.may.release(1000)
        await until(lambda: follower.health().lag < 0.2)


async def test_a_search_that_had_to_give_up_is_told_until_its_attempt_is_left(
    tmp_path: Path,
) -> None:
    store = await Store.open(f"sqlite:///{tmp_path}/ajrd.sqlite")
    watch = LogWatch(MemorySlurm(now), store, JUDGEMENT.detectors, None, now)
    job = await World(store).job(uid=os.getuid(), gid=os.getgid(), work_dir=str(tmp_path))
    running = asyncio.create_task(watch.run())
    try:
        await watch.attend(job.record, job.seen, job.attempt, directive(log_paths=("/dev/null",)))
        await until(lambda: watch.files_health().given_up)
        health = watch.files_health()
        assert (health.given_up, health.why) == (1, "/dev/null is not a regular file")
        async with asyncio.timeout(10):
            while not (await store.attempts(job.record.id))[0].log_note:
                await asyncio.sleep(0.01)
        await watch.leave(job.attempt.id)
        assert watch.files_health().given_up == 0
    finally:
        running.cancel()
        await asyncio.wait([running])
        await store.close()
