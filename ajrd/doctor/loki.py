"""Loki: does it answer each tenant, with lines that can be told to be a job's?"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from ajrd.config import Config, LokiSection
from ajrd.doctor.check import QUESTION, Check, Finding, Group, Look, NotAsked, ok, warn
from ajrd.doctor.tools import in_thread
from ajrd.errors import AjrdError, LokiUnavailable
from ajrd.loki.checkup import Seen, client_of, newest, questions_of, tried
from ajrd.loki.client import Loki

T = TypeVar("T")
#: Minutes to look back.
MINUTES = 10
_MEND = "ajrd loki check"


def _section(look: Look) -> LokiSection:
    section = look.config.loki
    if not section.url:
        raise NotAsked("loki.url is not set")
    return section.model_copy(update={"timeout": min(section.timeout, QUESTION)})


async def _each(look: Look, ask: Callable[[Loki], Awaitable[T]]) -> dict[str, T]:
    """The answers by tenant, asked at once; raises LokiUnavailable with the tenant's name."""
    section = _section(look)

    async def one(tenant: str) -> T:
        client = client_of(section, tenant)
        try:
            return await ask(client)
        except LokiUnavailable as error:
            raise LokiUnavailable(f"tenant {tenant}: {error}" if tenant else str(error)) from None
        finally:
            await client.close()

    tenants = section.tenants or ("",)
    return dict(zip(tenants, await asyncio.gather(*map(one, tenants)), strict=True))


async def versions(look: Look) -> dict[str, str]:
    """Ready, and of which version, for each tenant."""

    async def ask(client: Loki) -> str:
        await client.ready()
        return await client.version()

    return await _each(look, ask)


def judge_versions(found: dict[str, str], config: Config) -> Finding:
    """It is ready."""
    tenants = f", {len(found)} tenants" if config.loki.tenants else ""
    return ok(f"{config.loki.url} is ready, version {next(iter(found.values()))}{tenants}")


async def _there(look: Look) -> None:
    _section(look)
    try:
        await look.once(versions)
    except AjrdError:
        raise NotAsked("not looked at: Loki does not answer") from None


@dataclass(frozen=True, slots=True)
class Lines:
    """What each selector has, as each tenant."""

    seen: tuple[tuple[str, Seen], ...]


async def lines(look: Look) -> Lines:
    """The newest lines of every selector."""
    await _there(look)
    section = look.config.loki

    async def ask(client: Loki) -> list[Seen]:
        names = (*section.jobs, *section.nodes)
        return [await newest(client, section, name, MINUTES) for name in names]

    found = await _each(look, ask)
    return Lines(tuple((tenant, each) for tenant, all_ in found.items() for each in all_))


def judge_lines(found: Lines, _config: Config) -> Finding:
    """Something is shipped, of every selector."""
    empty = [_named(tenant, seen.selector) for tenant, seen in found.seen if not seen.lines]
    if empty:
        return warn(f"no line in {MINUTES} min: {'; '.join(empty)}", _MEND)
    oldest = max((seen.age for _, seen in found.seen), default=0.0)
    return ok(f"every selector has lines, the newest at most {oldest:.0f} s old")


def judge_labels(found: Lines, _config: Config) -> Finding:
    """A line that names neither job nor file cannot be told to be anybody's."""
    useless = [(tenant, seen) for tenant, seen in found.seen if seen.lines and not seen.useful]
    if useless:
        tenant, seen = useless[0]
        where = _named(tenant, seen.selector)
        said = f"{where}: no line has one of the labels in loki.labels"
        return replace(warn(said, _MEND), detail=f"seen: {seen.example}")
    names = sorted({name for _, seen in found.seen for name in seen.named if name})
    return ok(f"lines are told apart by {', '.join(names)}") if names else ok("no line yet")


def _named(tenant: str, selector: str) -> str:
    return f"{tenant}: {selector}" if tenant else selector


async def queries(look: Look) -> int:
    """How many queries of the service Loki takes; raises LokiUnavailable."""
    await _there(look)
    config = look.config
    questions = await in_thread(lambda: questions_of(config.loki, config.rules_dirs))
    await _each(look, lambda client: tried(client, questions, MINUTES))
    return len(questions)


def judge_queries(found: int, _config: Config) -> Finding:
    """None is refused."""
    return ok(f"Loki takes all {found} queries of the service")


_G = Group.LOKI
CHECKS: tuple[Check[Any], ...] = (
    Check(
        "ready", _G, "is it ready, for each tenant; its version", versions, judge_versions, _MEND
    ),
    Check("lines", _G, "do loki.jobs and loki.nodes select lines", lines, judge_lines, _MEND),
    Check("labels", _G, "do lines name their job, file or node", lines, judge_labels, _MEND),
    Check("queries", _G, "does Loki take the service's queries", queries, judge_queries, _MEND),
)
