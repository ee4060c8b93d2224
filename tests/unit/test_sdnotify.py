"""What the service manager is told, on a real socket; and when it is told nothing."""

from __future__ import annotations

import asyncio
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ajrd.config import Config, parse
from ajrd.sdnotify import Notify
from ajrd.supervision import Supervision, patience, status_of
from ajrd.vitals.parts import Parts
from tests.manager import listening


@pytest.mark.parametrize("kind", ["a path", "an abstract name"])
def test_messages_reach(kind: str, tmp_path: Path) -> None:
    with listening(str(tmp_path / "notify") if kind == "a path" else "") as manager:
        notify = Notify.of({"NOTIFY_SOCKET": manager.address})
        notify.ready()
        notify.status("leads\n now:  1 job")
        notify.stopping()
        assert manager.hear() == ["READY=1", "STATUS=leads now: 1 job", "STOPPING=1"]


def test_a_reload_tells_its_time_so_that_it_is_not_taken_for_an_earlier_one() -> None:
    with listening() as manager:
        before = time.monotonic_ns() // 1000
        Notify.of({"NOTIFY_SOCKET": manager.address}).reloading()
        first, second = manager.hear()[0].splitlines()
    assert first == "RELOADING=1"
    assert before <= int(second.removeprefix("MONOTONIC_USEC=")) <= time.monotonic_ns() // 1000


def test_commands_of_the_service_do_not_inherit_the_socket() -> None:
    environ = {"NOTIFY_SOCKET": "/run/x", "WATCHDOG_USEC": "2000000", "WATCHDOG_PID": "1", "A": "b"}
    Notify.of(environ)
    assert environ == {"A": "b"}


@pytest.mark.parametrize("name", ["", "vsock:2:1", "relative"])
def test_nobody_is_told_by_the_name(name: str) -> None:
    notify = Notify.of({"NOTIFY_SOCKET": name})
    assert notify.address is None
    notify.ready()


def test_a_manager_that_is_gone_or_takes_nothing_is_not_waited_for(tmp_path: Path) -> None:
    with listening(str(tmp_path / "notify")) as manager:
        notify = Notify.of({"NOTIFY_SOCKET": manager.address})
        for _ in range(2000):
            notify.alive()
    notify.alive()


@pytest.mark.parametrize(
    ("pid", "limit", "seconds"),
    [
        ("", "3000000", 3.0),
        pytest.param(str(os.getpid()), "3000000", 3.0, id="ours"),
        ("1", "3000000", None),
        ("", "", None),
        ("", "0", None),
        ("", "soon", None),
    ],
)
def test_the_watchdog_is_for_the_process_that_it_names(
    pid: str, limit: str, seconds: float | None
) -> None:
    environ = {"NOTIFY_SOCKET": "/run/x", "WATCHDOG_USEC": limit, "WATCHDOG_PID": pid}
    assert Notify.of(environ).watchdog == seconds


def parts(**values: Any) -> Parts:
    """Those of a service that leads, with a loop that stepped at 100 s."""
    recovery = SimpleNamespace(stepped=100.0, watched=[1, 2, 3], driving=1)
    found: dict[str, Any] = {"leading": SimpleNamespace(recovery=recovery), **values}
    now = datetime(2026, 1, 1, tzinfo=UTC)
    return Parts(found.pop("config", Config()), lambda: now, now, **found)


def test_a_loop_that_stands_still_beyond_every_time_limit_hangs() -> None:
    config = parse("slurm: {timeout: 7}\ndatabase: {timeout: 3}", "test")
    limit = patience(config)
    assert limit > 10 * (7 + 3)
    at = [100 + limit - 1, 100 + limit + 1]
    looks = [Supervision(Notify(), parts(config=config), lambda now=now: now) for now in at]  # type: ignore[misc]
    assert [look.hangs for look in looks] == [False, True]


def test_one_that_stands_by_has_no_loop_that_could_hang() -> None:
    assert not Supervision(Notify(), parts(leading=None), lambda: 1e9).hangs


async def test_a_loop_that_hangs_gives_no_sign_of_life() -> None:
    lives = iter([True, False, True])
    with listening() as manager:
        notify = Notify(Notify.of({"NOTIFY_SOCKET": manager.address}).address, 0.001)
        with pytest.raises(RuntimeError):
            await notify.beat(lambda: next(lives))
        assert manager.hear() == ["WATCHDOG=1"] * 2


def test_the_status_line_names_what_is_away() -> None:
    silent: Any = SimpleNamespace(why="timed out")
    away: Any = SimpleNamespace(away_since=1.0)
    assert status_of(parts()) == "leads (observe): 3 jobs watched, 1 recovering"
    assert status_of(parts(leading=None)) == "stands by"
    assert status_of(parts(leading=None, slurm=silent, store=away)) == (
        "stands by; no answer from Slurm and the database"
    )
    assert "the old one is in use" in status_of(parts(reload_ok=False))


def test_whoever_waits_for_the_start_sees_a_status_that_is_true() -> None:
    with listening() as manager:
        supervision = Supervision(Notify.of({"NOTIFY_SOCKET": manager.address}), parts())
        supervision.ready()
        assert manager.hear() == ["STATUS=leads (observe): 3 jobs watched, 1 recovering", "READY=1"]


def test_a_file_that_changes_during_the_start_does_not_end_it() -> None:
    with listening() as manager:
        supervision = Supervision(Notify.of({"NOTIFY_SOCKET": manager.address}), parts())
        supervision.reloading()
        supervision.reloaded()
        assert manager.hear() == []
        supervision.ready()
        supervision.reloading()
        supervision.reloaded()
        words = [message.partition("=")[0] for message in manager.hear()]
        assert words == ["STATUS", "READY", "RELOADING", "READY"]


async def test_a_start_is_no_standing_by() -> None:
    with listening() as manager:
        notify = Notify.of({"NOTIFY_SOCKET": manager.address})
        running = asyncio.create_task(Supervision(notify, parts(leading=None)).run())
        while not manager.hear():
            await asyncio.sleep(0)
        running.cancel()
        assert manager.said == ["STATUS=starts"]
