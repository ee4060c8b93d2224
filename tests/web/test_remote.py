"""The commands of a user who may not read the store: the same words, over the service's socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ajrd.cli.main import cli
from ajrd.errors import StoreUnavailable
from ajrd.model import RequestState
from ajrd.recovery.bookkeeping import Bookkeeping
from ajrd.recovery.tracking import new_job
from ajrd.store.address import Address
from ajrd.store.records import Answer
from ajrd.store.store import Store
from tests.unit.cli_store import Place, fill
from tests.unit.samples import at, job
from tests.web.serving import World, a_world

Both = Callable[..., Awaitable[tuple[Result, Result]]]
SINCE = ("--since", "2025-01-01")


class Far(Place):
    """A configuration whose database cannot be read, beside a socket."""

    def __init__(self, folder: Path, socket: str) -> None:
        super().__init__(folder)
        told = self.config.read_text().replace(str(self.database), "/nowhere/x.sqlite")
        self.config.write_text(f"{told}web: {{socket: '{socket}'}}\n")


@pytest.fixture
async def near(tmp_path: Path) -> AsyncIterator[tuple[Place, Store]]:
    place = Place(tmp_path)
    store = await place.open()
    await fill(store)
    yield place, store
    await store.close()


@pytest.fixture
async def world(near: tuple[Place, Store], tmp_path: Path) -> AsyncIterator[World]:
    async with a_world(Address(f"sqlite:///{near[0].database}"), tmp_path) as world:
        yield world


@pytest.fixture
def far(world: World, tmp_path: Path) -> Far:
    folder = tmp_path / "far"
    folder.mkdir()
    assert world.site.web.socket is not None
    return Far(folder, world.site.web.socket)


@pytest.fixture
def both(near: tuple[Place, Store], far: Far) -> Both:
    """What a command says of the store itself, and over the socket."""

    async def run(*argv: str) -> tuple[Result, Result]:
        return (
            await asyncio.to_thread(near[0].run, *argv),
            await asyncio.to_thread(far.run, *argv),
        )

    return run


@pytest.mark.parametrize(
    "argv",
    [
        ("status", "7"),
        ("status", "8"),
        ("list",),
        ("list", "--csv", "-u", "ada"),
        (
            "history",
            *SINCE,
            "-o",
            "attemptid,name,state,nodes,start,end,kind,cause,decision,reason",
        ),
        ("history", *SINCE, "-j", "7", "--csv", "-o", "attemptid,outcome,excluded,exitcode,branch"),
        ("history", *SINCE, "-n", "-u", "bob"),
        ("events", "8"),
        ("events", "--limit", "3", "--csv", "-o", "time,jobid,name,user,event,message"),
        ("events", "--limit", "0"),
        ("nodes", *SINCE, "--json"),
        ("explain", "7"),
        ("explain", "8"),
        ("explain", "9"),
        ("explain", "10"),
        ("explain", "7.9"),
    ],
    ids=" ".join,
)
async def test_the_same_is_said_on_both_ways(both: Both, argv: tuple[str, ...]) -> None:
    direct, remote = await both(*argv)
    assert (remote.exit_code, remote.output) == (direct.exit_code, direct.output)


@pytest.mark.parametrize("argv", [("7",), ("7", "--json"), ("--by", "user", *SINCE), ("99",)])
async def test_efficiency_is_told_on_both_ways(
    near: tuple[Place, Store], both: Both, argv: tuple[str, ...]
) -> None:
    await Bookkeeping(near[1], lambda: 1800.0, lambda: at(90_000)).turn()
    direct, remote = await both("efficiency", *argv)
    assert (remote.exit_code, remote.output) == (direct.exit_code, direct.output)
    assert direct.exit_code == (1 if argv == ("99",) else 0)


async def test_the_tasks_of_an_array_are_found_on_both_ways(
    near: tuple[Place, Store], both: Both
) -> None:
    for number in (1, 2):
        seen = job(job_id=f"40_{number}", raw_id=40 + number)
        await near[1].add_job(new_job(seen, "c", managed=True, note="", now=at(0)), "seen")
    for argv in (("status", "40"), ("pause", "40", "--reason", "x")):
        direct, remote = await both(*argv)
        assert "40_2" in remote.output
        assert (remote.exit_code, remote.output) == (direct.exit_code, direct.output)


async def test_a_job_that_is_not_there_is_unknown(both: Both) -> None:
    _, remote = await both("events", "99")
    assert (remote.exit_code, "is not known to ajrd" in remote.stderr) == (1, True)


async def test_a_request_goes_over_the_socket_and_the_answer_comes_back(
    near: tuple[Place, Store], far: Far
) -> None:
    _, store = near
    done = await asyncio.to_thread(far.run, "pause", "7", "--reason", "nodes")
    again = await asyncio.to_thread(far.run, "pause", "7", "--reason", "nodes")
    assert (done.exit_code, again.exit_code) == (0, 0)
    assert done.stdout == again.stdout
    [request] = await store.open_requests(at(90))
    assert (request.verb, request.by, request.reason) == ("pause", "root", "nodes")
    argv = ("resume", "7", "--reason", "nodes", "--wait", "30")
    waiting = asyncio.create_task(asyncio.to_thread(far.run, *argv))
    async with asyncio.timeout(20):
        while len(asked := await store.open_requests(at(91))) < 2:
            await asyncio.sleep(0.01)
    await store.answer(Answer(asked[1], RequestState.DONE, "resumed"), at(92))
    done = await waiting
    assert (done.exit_code, done.stdout) == (0, f"request {asked[1].id}, done: resumed\n")


async def test_who_may_not_is_refused(near: tuple[Place, Store], tmp_path: Path) -> None:
    """root is no operator here, and the job is ada's: she alone sees it."""
    folder = tmp_path / "other"
    folder.mkdir()
    address = Address(f"sqlite:///{near[0].database}")
    async with a_world(address, folder, operators=[], anonymous_read=False) as world:
        far = Far(folder, str(world.site.web.socket))
        done = await asyncio.to_thread(far.run, "pause", "7", "--reason", "nodes")
        assert done.exit_code == 1
        told = await asyncio.to_thread(far.run, "history", *SINCE, "--json")
        assert json.loads(told.output) == []


def test_without_store_and_socket_the_store_is_complained_about(tmp_path: Path) -> None:
    far = Far(tmp_path, f"{tmp_path}/s")
    done = CliRunner().invoke(cli, ["list"], env={"AJRD_CONFIG": str(far.config)})
    assert isinstance(done.exception, StoreUnavailable)
    assert "there is no database at /nowhere/x.sqlite" in str(done.exception)


async def test_who_may_not_read_the_configuration_finds_the_service_where_the_units_have_it(
    both: Both, world: World, far: Far, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(path: Path, *_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    direct, _ = await both("list")
    monkeypatch.setattr("ajrd.cli.storeurl._SOCKET", Path(str(world.site.web.socket)))
    monkeypatch.setattr(Path, "read_bytes", denied)
    monkeypatch.setattr(Path, "read_text", denied)
    done = await asyncio.to_thread(far.run, "list")
    assert (done.exit_code, done.output) == (0, direct.output)
