"""Calls of libslurm with a time limit: by a worker process that can be killed.

See :mod:`ajrd.slurm.worker` for why it is a process. One call runs at a time. A call whose time
is over, or whose caller is cancelled, ends the worker with it: nothing that was given up is
carried out later. The next call starts a new one (about 0.1 s).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import Mapping
from typing import Any

from ajrd.errors import SlurmUnavailable
from ajrd.slurm.process import Finished, run
from ajrd.slurm.refusals import as_error

_WORKER = (sys.executable, "-m", "ajrd.slurm.worker")


async def check(env: Mapping[str, str], timeout: float) -> Finished:
    """Import pyslurm in a worker that does nothing else."""
    return await run((*_WORKER, "--check"), env, timeout)


class Calls:
    """Calls through one worker, which is started with ``env`` when it is first needed."""

    def __init__(self, env: Mapping[str, str], timeout: float) -> None:
        self._env = dict(env)
        self._timeout = timeout
        self._turn = asyncio.Lock()
        self._worker: asyncio.subprocess.Process | None = None

    async def __call__(self, about: str, name: str, **arguments: Any) -> Any:
        """The value of one call; ``about`` is for messages.

        Raises SlurmUnavailable or SlurmRejected as :mod:`ajrd.slurm.base` says.
        """
        try:
            async with asyncio.timeout(self._timeout), self._turn:
                said = await self._asked({"call": name, "with": arguments})
        except TimeoutError:
            raise SlurmUnavailable(
                f"pyslurm, {about}: no answer within {self._timeout:g} s; check slurmctld"
            ) from None
        except (OSError, EOFError, ValueError) as error:
            raise SlurmUnavailable(f"pyslurm, {about}: its process ended ({error})") from error
        if "error" in said:
            raise as_error(f"pyslurm, {about}", said["error"])
        if "unreadable" in said:
            raise SlurmUnavailable(f"pyslurm, {about}: unreadable answer: {said['unreadable']}")
        return said["value"]

    async def close(self) -> None:
        """End the worker."""
        await self._end()

    async def _asked(self, question: dict[str, Any]) -> dict[str, Any]:
        try:
            worker = await self._running()
            assert worker.stdin is not None
            assert worker.stdout is not None
            worker.stdin.write(json.dumps(question).encode() + b"\n")
            await worker.stdin.drain()
            size = int(await worker.stdout.readline())
            said = json.loads(await worker.stdout.readexactly(size))
        except BaseException:  # also when cancelled: the answer would be taken for the next one's
            await self._end()
            raise
        assert isinstance(said, dict)
        return said

    async def _running(self) -> asyncio.subprocess.Process:
        if self._worker is None or self._worker.returncode is not None:
            pipe = asyncio.subprocess.PIPE
            self._worker = await asyncio.create_subprocess_exec(
                *_WORKER, env=self._env, stdin=pipe, stdout=pipe,
                stderr=asyncio.subprocess.DEVNULL,
            )  # fmt: skip
        return self._worker

    async def _end(self) -> None:
        worker, self._worker = self._worker, None
        if worker is None:
            return
        if worker.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                worker.kill()
        if worker.stdin is not None:
            worker.stdin.close()
        await asyncio.shield(worker.wait())
