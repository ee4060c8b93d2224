"""Whatever a check meets, one finding comes of it, and in time."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from ajrd.config import Config
from ajrd.doctor import check as checks
from ajrd.doctor.check import (
    Broken,
    Check,
    Finding,
    Group,
    Level,
    Look,
    NotAsked,
    begin,
    exact,
    examine,
    exit_code,
    fail,
    ok,
    skip,
    warn,
)
from ajrd.errors import SlurmUnavailable


def a_check(gather: Any, judge: Any = None, *, needs_config: bool = True) -> Check[Any]:
    def well(_facts: Any, _config: Config) -> Finding:
        return ok("well")

    return Check("x", Group.HOST, "x", gather, judge or well, "mend it", needs_config)


async def found(config: Path, *wanted: Check[Any]) -> list[Finding]:
    look = await begin(config)
    return [each.finding for each in await examine(look, wanted)]


@pytest.mark.parametrize(
    ("error", "finding"),
    [
        (SlurmUnavailable("slurmctld is away"), fail("slurmctld is away", "mend it")),
        (NotAsked("nobody wants it"), skip("nobody wants it")),
        (Broken("no folder", "mkdir it"), fail("no folder", "mkdir it")),
        (ValueError("odd"), fail("cannot be looked at: ValueError: odd", "mend it")),
        (TimeoutError(), fail("it did not answer in time", "mend it")),
    ],
)
async def test_what_gathering_raises_becomes_a_finding(
    config: Path, error: Exception, finding: Finding
) -> None:
    async def gather(_look: Look) -> None:
        raise error

    def judge(_facts: None, _config: Config) -> Finding:
        raise error

    async def nothing(_look: Look) -> None:
        return None

    assert await found(config, a_check(gather), a_check(nothing, judge)) == [finding, finding]


async def test_what_hangs_fails_and_keeps_nobody_waiting(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "LIMIT", 0.05)
    never = threading.Event()

    async def in_a_thread(_look: Look) -> None:
        await asyncio.to_thread(never.wait)

    async def by_itself(_look: Look) -> None:
        await asyncio.Event().wait()

    async def well(_look: Look) -> None:
        return None

    late = fail("it did not answer in time", "mend it")
    table = a_check(in_a_thread), a_check(by_itself), a_check(well)
    assert await found(config, *table) == [late, late, ok("well")]
    never.set()


async def test_facts_are_gathered_once_and_so_is_their_error(config: Path) -> None:
    asked = []

    async def gather(_look: Look) -> None:
        asked.append(1)
        raise SlurmUnavailable("away")

    async def by_another(look: Look) -> None:
        await look.once(gather)

    both = await found(config, a_check(gather), a_check(gather), a_check(by_another))
    assert both == [fail("away", "mend it")] * 3
    assert asked == [1]


async def test_with_a_broken_configuration_only_what_needs_none_is_looked_at(
    tmp_path: Path,
) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("recovery: {mode: perhaps}\n")

    async def gather(_look: Look) -> None:
        return None

    look = await begin(file)
    verdicts = await examine(look, [a_check(gather), a_check(gather, needs_config=False)])
    assert [each.finding.level for each in verdicts] == [Level.SKIP, Level.OK]
    assert exit_code(look, verdicts) == 2


async def test_a_configuration_that_never_answers_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "QUESTION", 0.05)
    fifo = tmp_path / "config.yaml"
    os.mkfifo(fifo)
    look = await begin(fifo)
    assert "no answer within" in look.error


async def test_warnings_are_no_failure_and_failures_are(config: Path) -> None:
    async def gather(_look: Look) -> None:
        return None

    async def code(finding: Finding) -> int:
        look = await begin(config)
        return exit_code(look, await examine(look, [a_check(gather, lambda *_: finding)]))

    codes = [await code(each) for each in (ok("x"), warn("x", "y"), skip("x"), fail("x", "y"))]
    assert codes == [0, 0, 0, 1]


def test_a_command_that_mends_is_for_the_configuration_that_was_looked_at() -> None:
    path, default = Path("/tmp/my $(x)/c.yaml"), Path("/etc/ajrd/config.yaml")
    assert exact("ajrd db check  # docs", default) == "ajrd db check  # docs"
    assert exact("ajrd db check  # x", path) == "ajrd db check --config '/tmp/my $(x)/c.yaml'  # x"
    assert exact("ajrd config check", path) == "ajrd config check '/tmp/my $(x)/c.yaml'"
    assert exact("ajrd config check  # x", path) == "ajrd config check '/tmp/my $(x)/c.yaml'  # x"
    assert exact("ajrd config check /a", path) == "ajrd config check /a"
    assert exact("scontrol ping", path) == "scontrol ping"
