"""Runs one Slurm command: no shell, a time limit, bounded output, a fixed environment.

The command is killed when its time is over, when it writes too much, and when the caller is
cancelled. Its exit code is the caller's business; that it could not be run at all is not.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ajrd.errors import SlurmUnavailable

#: Bytes of output: ``squeue --json`` writes about 4 kB a job.
MAX_OUTPUT = 128 * 1024 * 1024

#: Variables by which an administrator's shell would change what the commands print.
_DROPPED = ("SQUEUE_", "SCONTROL_", "SCANCEL_", "SLURM_BITSTR", "SLURM_JSON", "SLURM_YAML")


@dataclass(frozen=True, slots=True)
class Finished:
    """What a command left: exit code, standard output, standard error."""

    code: int
    out: str
    err: str


def environment(base: Mapping[str, str], conf: str | None) -> dict[str, str]:
    """The environment of every command: times as seconds since 1970, messages in English."""
    kept = {key: value for key, value in base.items() if not key.startswith(_DROPPED)}
    kept |= {"SLURM_TIME_FORMAT": "%s", "LC_ALL": "C"}
    return kept | ({"SLURM_CONF": conf} if conf else {})


async def run(argv: Sequence[str], env: Mapping[str, str], timeout: float) -> Finished:
    """Run ``argv`` for at most ``timeout`` seconds.

    Raises SlurmUnavailable if the command is missing, too slow, or writes too much.
    """
    process = await _start(argv, env)
    try:
        async with asyncio.timeout(timeout):
            out, err = await asyncio.gather(
                _read(process, process.stdout), _read(process, process.stderr)
            )
            code = await process.wait()
    except TimeoutError:
        raise SlurmUnavailable(
            f"{argv[0]} gave no answer within {timeout:g} s; check slurmctld (scontrol ping)"
        ) from None
    finally:
        await _end(process)
    if max(len(out), len(err)) > MAX_OUTPUT:
        raise SlurmUnavailable(f"{argv[0]} wrote more than {MAX_OUTPUT} bytes")
    return Finished(code, _text(out), _text(err))


async def _start(argv: Sequence[str], env: Mapping[str, str]) -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    try:
        return await asyncio.create_subprocess_exec(
            *argv, env=env, stdin=asyncio.subprocess.DEVNULL, stdout=pipe, stderr=pipe
        )
    except OSError as error:
        raise SlurmUnavailable(
            f"cannot run {argv[0]}: {error.strerror}; install the Slurm client commands"
        ) from error


async def _read(process: asyncio.subprocess.Process, stream: asyncio.StreamReader | None) -> bytes:
    """All of ``stream``, or a little more than MAX_OUTPUT of it: then the process is killed."""
    chunks: list[bytes] = []
    size = 0
    while stream is not None and (chunk := await stream.read(65536)):
        if size <= MAX_OUTPUT:
            chunks.append(chunk)
            size += len(chunk)
        else:
            _kill(process)
    return b"".join(chunks)


async def _end(process: asyncio.subprocess.Process) -> None:
    """Kill what still runs, and collect it even when the caller is being cancelled.

    asyncio reports the end of a process only after its pipes were read to their end, which a
    child of it may hold open: hence the limit.
    """
    if process.returncode is None:
        _kill(process)
        with contextlib.suppress(TimeoutError):
            await asyncio.shield(_collect(process))


async def _collect(process: asyncio.subprocess.Process) -> None:
    async with asyncio.timeout(1.0):
        await asyncio.gather(_read(process, process.stdout), _read(process, process.stderr))
        await process.wait()


def _kill(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.kill()


def _text(raw: bytes) -> str:
    """Paths are bytes: undecodable ones survive as surrogates, as :func:`os.fsdecode` does."""
    return os.fsdecode(raw)
