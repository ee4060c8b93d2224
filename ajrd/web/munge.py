"""Who has made a MUNGE credential: asked of munged, by its own command.

munged decodes a credential once and no more, and only for some minutes. A credential that was made
for another service carries that service's payload and is refused here: whoever has received one
could pass it on. Ours carries nothing (``munge -n``), or the request that it was made for:
``munge -s "ajrd GET /api/v1/jobs"``, which is good for that request alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from ajrd.errors import AjrdError

#: What munge(1) prints.
CREDENTIAL = re.compile(r"MUNGE:[A-Za-z0-9+/=]{40,4096}:")
#: Seconds; processes at once; bytes of output.
_TIMEOUT, _AT_ONCE, _MOST = 5.0, 4, 8192
#: Exit codes of unmunge (munge_err_t in munge.h): it could not ask, or munged could not tell.
_UNABLE = frozenset({1, 2, 4, 5, 6, 7, 127})
_REFUSED = {
    15: "has expired",
    16: "is from the future: do the clocks differ?",
    17: "was used before",
    18: "was made for somebody else",
}


class MungeUnavailable(AjrdError):
    """munged could not be asked: who somebody is is unknown."""


class MungeRefused(AjrdError):
    """The credential is no good: malformed, expired, used before, or made for something else."""


@dataclass(slots=True)
class Munge:
    """``command`` is unmunge(1), with ``--socket`` where munged has another one."""

    command: Sequence[str] = ("unmunge",)
    _turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_AT_ONCE))

    async def uid(self, credential: str, purpose: str) -> int:
        """The number of the user who made it; raises MungeRefused or MungeUnavailable."""
        if not CREDENTIAL.fullmatch(credential):
            raise MungeRefused("the MUNGE credential is malformed")
        async with self._turns:
            code, out = await self._run(credential.encode())
        if code in _UNABLE:
            raise MungeUnavailable("munged cannot be asked: does it run on this host?")
        if code:
            raise MungeRefused(f"the MUNGE credential {_REFUSED.get(code, 'is no good')}")
        facts, _, payload = out.partition("\n\n")
        if payload not in ("", purpose):
            raise MungeRefused("the MUNGE credential was made for something else")
        found = re.search(r"^UID:\s+(\d+)$", facts, re.MULTILINE)
        if found is None:
            raise MungeUnavailable("unmunge has told no user")
        return int(found[1])

    async def _run(self, credential: bytes) -> tuple[int, str]:
        pipe = asyncio.subprocess.PIPE
        argv = [*self.command, "--numeric", "--keys=UID"]
        try:
            process = await asyncio.create_subprocess_exec(
                *argv, stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.DEVNULL
            )
        except OSError as error:
            raise MungeUnavailable(f"cannot run unmunge: {error.strerror}") from error
        try:
            async with asyncio.timeout(_TIMEOUT):
                out, _ = await process.communicate(credential)
        except TimeoutError:
            raise MungeUnavailable(f"munged did not answer within {_TIMEOUT:g} s") from None
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
        return process.returncode or 0, out[:_MOST].decode("utf-8", "replace")
