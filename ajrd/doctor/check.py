"""What one look of the doctor is, and how many are carried out at once.

Theory of operation. A check is a row of a table: what it looks at, how the facts are gathered and
how they are judged. Gathering does I/O; it may wait, hang and raise. Judging is a pure function
from facts and configuration to one finding. Whatever gathering does, :func:`examine` makes one
finding of it: its time is limited, and an exception becomes a failure in its own words. Facts that
several checks need are gathered once.
"""

from __future__ import annotations

import asyncio
import re
import shlex
import threading
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Generic, TypeVar

from ajrd.config import Config, load
from ajrd.errors import AjrdError, ConfigError

T = TypeVar("T")
#: Seconds after which gathering is given up, and those for one question within it.
LIMIT, QUESTION = 10.0, 5.0
#: The configuration that commands take by themselves, and those that take another.
DEFAULT = Path("/etc/ajrd/config.yaml")
_TAKES_CONFIG = re.compile(r"\b(ajrd (?:db \w+|loki check|history|doctor))(?! --config)")


class Level(StrEnum):
    """How it is: nothing to do, worth a look, broken, or not asked."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    SKIP = "skip"


class Group(StrEnum):
    """What a check is about."""

    FILES = "configuration"
    SLURM = "Slurm"
    DATABASE = "database"
    LOGS = "logs"
    LOKI = "Loki"
    OUTWARD = "hand-off and webhooks"
    WEB = "web"
    SERVICE = "service"
    HOST = "host"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found, and the command that mends it; ``detail`` may name people."""

    level: Level
    found: str
    mend: str = ""
    detail: str = ""


def ok(found: str) -> Finding:
    """Nothing to do."""
    return Finding(Level.OK, found)


def warn(found: str, mend: str) -> Finding:
    """It works, and something should be done."""
    return Finding(Level.WARN, found, mend)


def fail(found: str, mend: str) -> Finding:
    """Something does not work."""
    return Finding(Level.FAIL, found, mend)


def skip(why: str) -> Finding:
    """Nobody has asked for it, or it cannot be told."""
    return Finding(Level.SKIP, why)


class NotAsked(AjrdError):
    """There is nothing to look at, for the reason in the message."""


class Broken(AjrdError):
    """It cannot be looked at, and there is a better command for that than the check's own."""

    def __init__(self, message: str, mend: str) -> None:
        super().__init__(message)
        self.mend = mend


@dataclass(frozen=True, slots=True)
class Check(Generic[T]):
    """One row of the table; ``mend`` is for the case that it cannot even be looked at."""

    name: str
    group: Group
    about: str
    gather: Callable[[Look], Awaitable[T]]
    judge: Callable[[T, Config], Finding]
    mend: str
    needs_config: bool = True


@dataclass(frozen=True, slots=True)
class Verdict:
    """A check and what came of it."""

    check: Check[Any]
    finding: Finding


class Look:
    """One examination: the configuration, and facts that were gathered already.

    ``error`` says what is wrong with the configuration; ``log`` is the service's own log.
    """

    def __init__(self, path: Path, config: Config, error: str, log: Path | None) -> None:
        self.path = path
        self.config = config
        self.error = error
        self.log = log
        self._known: dict[Callable[[Look], Awaitable[Any]], asyncio.Future[Any]] = {}

    async def once(self, gather: Callable[[Look], Awaitable[T]]) -> T:
        """What ``gather`` has found, or the error that it ended in."""
        if gather not in self._known:
            self._known[gather] = asyncio.ensure_future(gather(self))
        found: T = await asyncio.shield(self._known[gather])
        return found

    async def end(self) -> None:
        """Waits for nothing that still hangs."""
        known, self._known = list(self._known.values()), {}
        for task in known:
            task.cancel()
        await asyncio.gather(*known, return_exceptions=True)


class Unattended(ThreadPoolExecutor):
    """A daemon thread for each piece of work: one that hangs keeps no process from ending."""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Begins at once."""
        future: Future[T] = Future()

        def work() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = fn(*args, **kwargs)
            except BaseException as error:  # whoever waits for the work gets it
                future.set_exception(error)
            else:
                future.set_result(result)

        threading.Thread(target=work, name="ajrd doctor", daemon=True).start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Waits for nobody."""


def unattended() -> None:
    """From now on no thread of this event loop is waited for at its end."""
    asyncio.get_running_loop().set_default_executor(Unattended())


async def begin(path: Path, log: Path | None = None) -> Look:
    """Reads the configuration, which may lie on a mount that hangs, or be none."""
    unattended()
    try:
        async with asyncio.timeout(QUESTION):
            return Look(path, await asyncio.to_thread(load, path), "", log)
    except TimeoutError:
        error = f"cannot read the configuration {path}: no answer within {QUESTION:g} s"
        return Look(path, Config(), error, log)
    except ConfigError as fault:
        return Look(path, Config(), str(fault), log)


async def examine(look: Look, checks: Iterable[Check[Any]]) -> list[Verdict]:
    """All checks at once, in their order; takes little longer than :data:`LIMIT` seconds."""
    table = list(checks)
    try:
        findings = await asyncio.gather(*(_one(look, check) for check in table))
    finally:
        await look.end()
    return [Verdict(*pair) for pair in zip(table, findings, strict=True)]


async def _one(look: Look, check: Check[Any]) -> Finding:
    if check.needs_config and look.error:
        return skip("not looked at: the configuration cannot be used")
    finding = await _looked(look, check)
    return replace(finding, mend=exact(finding.mend, look.path))


def exact(mend: str, path: Path) -> str:
    """With the configuration that was looked at, where another than the default one was."""
    if path == DEFAULT:
        return mend
    word = shlex.quote(str(path))
    mend = re.sub(r"\bajrd config check(?! *[^#\s])", lambda _: f"ajrd config check {word}", mend)
    return _TAKES_CONFIG.sub(lambda found: f"{found[1]} --config {word}", mend)


async def _looked(look: Look, check: Check[Any]) -> Finding:
    try:
        async with asyncio.timeout(LIMIT):
            facts = await look.once(check.gather)
        return check.judge(facts, look.config)
    except NotAsked as error:
        return skip(str(error))
    except TimeoutError:
        return fail("it did not answer in time", check.mend)
    except Broken as error:
        return fail(str(error), error.mend)
    except AjrdError as error:
        return fail("; ".join(str(error).splitlines()), check.mend)
    except Exception as error:
        return fail(f"cannot be looked at: {type(error).__name__}: {error}"[:500], check.mend)


def exit_code(look: Look, verdicts: Iterable[Verdict]) -> int:
    """0: nothing fails; 1: something does; 2: the configuration cannot be used."""
    if look.error:
        return 2
    return int(any(each.finding.level is Level.FAIL for each in verdicts))
