"""pyslurm's process and what becomes of its answers, without a Slurm and without pyslurm."""

from __future__ import annotations

import asyncio
import io
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from ajrd.errors import SlurmRejected, SlurmUnavailable
from ajrd.slurm.base import Refusal
from ajrd.slurm.calls import Calls
from ajrd.slurm.worker import serve

#: A pyslurm with one job: 7. Asked for 8 it dies, for 9 it hangs, for 10 it makes no sense.
PYSLURM = """
import os, time
class RPCError(Exception):
    pass
class Text:
    def __get__(self, job, kind):
        return bytes([0x63, 0xe9]).decode()
class Job:
    name = Text()
    def __init__(self, number):
        self.id = number
    def __getattr__(self, name):
        return None
    def load(number):
        print("a line that libslurm prints", flush=True)
        if number == 8:
            os._exit(3)
        if number == 9:
            time.sleep(600)
        if number == 10:
            raise KeyError(number)
        if number != 7:
            raise RPCError("Invalid job id specified")
        return Job(number)
"""


@pytest.fixture
def calls(tmp_path: Path) -> Calls:
    (tmp_path / "pyslurm.py").write_text(PYSLURM)
    path = os.pathsep.join([str(tmp_path), str(Path(__file__).parents[2])])
    return Calls({**os.environ, "PYTHONPATH": path}, timeout=20)


async def test_an_answer_survives_what_libslurm_prints(calls: Calls) -> None:
    job = await calls("7", "job", raw_id=7)
    assert (job["id"], job["name"]) == (7, "c\udce9")
    await calls.close()


async def test_what_slurm_refuses_is_told_from_what_cannot_be_read(calls: Calls) -> None:
    with pytest.raises(SlurmRejected) as caught:
        await calls("1", "job", raw_id=1)
    assert caught.value.code == Refusal.UNKNOWN_JOB
    with pytest.raises(SlurmUnavailable, match="unreadable answer: KeyError: 10"):
        await calls("10", "job", raw_id=10)
    await calls.close()


async def test_a_worker_that_dies_is_unknown_and_replaced(calls: Calls) -> None:
    with pytest.raises(SlurmUnavailable, match="its process ended"):
        await calls("8", "job", raw_id=8)
    assert (await calls("7", "job", raw_id=7))["id"] == 7
    await calls.close()


async def test_a_call_that_is_given_up_ends_the_worker(calls: Calls) -> None:
    await calls("7", "job", raw_id=7)
    worker = calls._worker
    assert worker is not None
    hanging = asyncio.create_task(calls("9", "job", raw_id=9))
    await asyncio.sleep(0.05)
    hanging.cancel()
    with pytest.raises(asyncio.CancelledError):
        await hanging
    assert worker.returncode is not None
    assert (await calls("7", "job", raw_id=7))["id"] == 7
    await calls.close()


async def test_a_worker_ends_with_its_questions() -> None:
    worker = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "import sys, io; from ajrd.slurm.worker import serve;"
        "serve(None, sys.stdin.buffer, io.BytesIO())",
        stdin=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert worker.stdin is not None
    worker.stdin.close()
    async with asyncio.timeout(20):
        assert await worker.wait() == 0


def test_an_answer_is_its_length_and_then_json() -> None:
    class Api:
        class RPCError(Exception):
            pass

        class slurmctld:  # noqa: N801 -- pyslurm's name
            class Config:
                @staticmethod
                def load() -> Any:
                    return type("C", (), {"cluster_name": "é", "version": "25.11.7",
                                          "job_requeue": True, "min_job_age": 300})  # fmt: skip

    answers = io.BytesIO()
    serve(Api, io.BytesIO(b'{"call": "cluster", "with": {}}\n'), answers)
    size, _, body = answers.getvalue().partition(b"\n")
    assert int(size) == len(body)
    assert json.loads(body)["value"]["cluster_name"] == "é"
