"""Who may come in, how it is found out, and what is kept out."""

from __future__ import annotations

import asyncio
import getpass
import json
import os
import pwd
import re
import secrets
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web

from ajrd.config import WebSection
from ajrd.errors import WebUnavailable
from ajrd.store.address import Address
from ajrd.web import places
from ajrd.web.identity import IDENTITY
from ajrd.web.limits import Buckets
from ajrd.web.munge import Munge
from ajrd.web.peers import Doorkeeper
from ajrd.web.people import People
from ajrd.web.site import Site
from labcluster.processes import start, wait_until
from labcluster.tools import find
from tests.web.serving import World, a_store, a_world

JOBS = "/api/v1/jobs"
#: Whoever runs the tests; only the administrator can be somebody else, too.
ME = getpass.getuser()
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be another user")


@pytest.fixture
def open_dir() -> Iterator[Path]:
    """A folder that every user of this host may enter."""
    with tempfile.TemporaryDirectory(prefix="ajrd-web-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
async def address(tmp_path: Path) -> AsyncIterator[Address]:
    async with a_store(tmp_path) as (_store, address):
        yield address


@pytest.fixture
async def world(address: Address, open_dir: Path) -> AsyncIterator[World]:
    async with a_world(address, open_dir) as made:
        yield made


@pytest.fixture
def munge(open_dir: Path) -> Iterator[Path]:
    """The socket of a munged of our own."""
    folder = open_dir / "munge"
    folder.mkdir(mode=0o755)
    key = folder / "key"
    key.touch(mode=0o600)
    key.write_bytes(secrets.token_bytes(1024))
    options = [f"--{name}={folder / name.split('-')[0]}"
               for name in ("key-file", "socket", "pid-file", "log-file", "seed-file")]  # fmt: skip
    argv = [find("munged"), "--foreground", "--force", *options]
    daemon = start("munged", argv, folder / "out", os.environ)
    assert wait_until(lambda: (folder / "socket").exists(), 20)
    yield folder / "socket"
    daemon.end()


@pytest.fixture
async def munged(address: Address, open_dir: Path, munge: Path) -> AsyncIterator[World]:
    """A server that asks that munged."""
    command = ("unmunge", f"--socket={munge}")
    async with a_world(
        address, open_dir, keeper=Doorkeeper(WebSection(), People(), Munge(command))
    ) as made:
        yield made


async def credential(munge: Path, *options: str) -> str:
    argv = ("munge", f"--socket={munge}", *options)
    process = await asyncio.create_subprocess_exec(*argv, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    assert process.returncode == 0
    return f"MUNGE {out.decode().strip()}"


def as_nobody(path: Path) -> socket.socket:
    """A connection of the user nobody: the kernel tells who somebody was when he connected."""
    made = socket.socket(socket.AF_UNIX)
    os.seteuid(pwd.getpwnam("nobody").pw_uid)
    try:
        made.connect(str(path))
    finally:
        os.seteuid(0)
    return made


async def by_nobody(world: World, path: str) -> tuple[int, Any]:
    """Status and answer for the user nobody on this host, over the socket."""
    reader, writer = await asyncio.open_connection(sock=as_nobody(Path(str(world.site.web.socket))))
    writer.write(f"GET {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n".encode())
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    await writer.wait_closed()
    return int(head.split()[1]), json.loads(body)


async def who(request: web.Request) -> web.Response:
    found = request[IDENTITY]
    return web.json_response([found.user, found.operator, found.way])


def tells_who(_site: Site) -> list[web.RouteDef]:
    return [web.get("/who", who), web.get("/metrics", who), web.get("/healthz", who)]


@as_root
async def test_on_the_socket_the_kernel_says_who_asks(address: Address, open_dir: Path) -> None:
    async with a_world(address, open_dir, extra=[tells_who]) as world:
        assert await by_nobody(world, "/who") == (200, ["nobody", False, "socket"])
        assert (await world.on_host("/who")).json == [ME, True, "socket"]


@as_root
async def test_a_member_of_an_operators_group_is_an_operator(
    address: Address, open_dir: Path
) -> None:
    groups: dict[str, Any] = {"operators": [], "operator_groups": ["nogroup"]}
    async with a_world(address, open_dir, extra=[tells_who], **groups) as world:
        assert await by_nobody(world, "/who") == (200, ["nobody", True, "socket"])
        assert (await world.on_host("/who")).json == [ME, False, "socket"]


@as_root
async def test_over_the_net_a_munge_credential_says_who_asks(munged: World, munge: Path) -> None:
    mine = await credential(munge, "--no-input", "--uid=nobody")
    answer = await munged.get(JOBS, Authorization=mine)
    assert (answer.status, answer.json["items"]) == (200, [])


async def test_a_credential_is_good_once(munged: World, munge: Path) -> None:
    mine = await credential(munge, "--no-input")
    assert (await munged.get(JOBS, Authorization=mine)).status == 200
    again = await munged.get(JOBS, Authorization=mine)
    assert (again.status, again.json["detail"]) == (401, "the MUNGE credential was used before")
    assert again.headers["WWW-Authenticate"] == 'MUNGE realm="ajrd"'


async def test_a_credential_made_for_another_service_or_request_is_refused(
    munged: World, munge: Path
) -> None:
    for payload, status in (
        ("slurm", 401),
        ("ajrd GET /api/v1/attempts", 401),
        (f"ajrd GET {JOBS}?limit=1", 200),
    ):
        mine = await credential(munge, f"--string={payload}")
        assert (await munged.get(f"{JOBS}?limit=1", Authorization=mine)).status == status, payload


@pytest.mark.parametrize("nonsense", ["MUNGE", "MUNGE x", "MUNGE MUNGE:" + "A" * 80 + ":"])
async def test_what_is_no_credential_is_refused(munged: World, nonsense: str) -> None:
    assert (await munged.get(JOBS, Authorization=nonsense)).status == 401


async def test_without_munged_nobody_is_taken_for_anybody(address: Address, open_dir: Path) -> None:
    keeper = Doorkeeper(WebSection(), People(), Munge(("unmunge", "--socket=/nowhere")))
    async with a_world(address, open_dir, keeper=keeper) as world:
        answer = await world.get(JOBS, Authorization="MUNGE MUNGE:" + "A" * 80 + ":")
        assert (answer.status, answer.headers["Retry-After"]) == (503, "5")


async def test_who_fails_to_prove_himself_too_often_has_to_wait(munged: World) -> None:
    found = [(await munged.get(JOBS, Authorization="MUNGE x")).status for _ in range(60)]
    assert found[:30] == [401] * 30
    assert 429 in found


async def test_munged_is_not_asked_without_end_for_one_who_asks_too_often(
    address: Address, open_dir: Path, munge: Path
) -> None:
    keeper = Doorkeeper(WebSection(), People(), Munge(("unmunge", f"--socket={munge}")))
    async with a_world(address, open_dir, keeper=keeper, requests_per_minute=1) as world:
        asked = []

        async def uid(credential: str, purpose: str) -> int:
            asked.append(credential)
            return os.getuid()

        keeper.munge = SimpleNamespace(uid=uid)  # type: ignore[assignment]
        found = [(await world.get(JOBS, Authorization="MUNGE x")).status for _ in range(60)]
    assert found == [200] + [429] * 59
    assert len(asked) <= 35


async def test_nobody_shuts_out_the_others_behind_a_proxy(address: Address, open_dir: Path) -> None:
    basic = {"Authorization": "Basic YWRhOmFkYQ=="}
    async with a_world(address, open_dir) as world:
        found = [(await world.get(JOBS, "not a name", **basic)).status for _ in range(60)]
        assert found == [400] * 60
        found = [(await world.get(JOBS, Authorization="MUNGE x")).status for _ in range(60)]
        assert (found[0], found[-1]) == (401, 429)
        assert (await world.get(JOBS, "ada", **basic)).status == 200


async def test_who_is_not_known_may_be_so_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    people = People()
    known = {"ada": False}

    def entry(name: str) -> pwd.struct_passwd:
        if not known[name]:
            raise KeyError(name)
        return pwd.struct_passwd((name, "x", 4242, 4242, "", "/", "/bin/sh"))

    monkeypatch.setattr("ajrd.web.people.pwd.getpwnam", entry)
    monkeypatch.setattr("ajrd.web.people._UNKNOWN_HOLDS", 0.0)
    assert await people.by_name("ada") is None
    known["ada"] = True
    found = await people.by_name("ada")
    assert found is not None
    assert found.name == "ada"
    people.close()


async def test_a_proxy_on_the_list_says_who_asks(address: Address, open_dir: Path) -> None:
    async with a_world(address, open_dir, extra=[tells_who]) as world:
        assert (await world.get("/who", "ada")).json == ["ada", False, "proxy"]
        assert (await world.get("/who", "root")).json == ["root", True, "proxy"]
        assert (await world.get("/who", "ada,root")).status == 400
        assert (await world.get("/who")).status == 401


async def test_nobody_else_is_believed_in_that_header(address: Address, open_dir: Path) -> None:
    elsewhere = {"addresses": ["10.9.8.0/24"], "header": "X-Remote-User"}
    async with a_world(address, open_dir, proxy=elsewhere, anonymous_read=True,
                       extra=[tells_who]) as world:  # fmt: skip
        assert (await world.get("/who", "root")).json == ["", False, "anonymous"]
        told = {"X-Remote-User": "ada"}
        assert world.host is not None
        async with world.host.get("/who", headers=told) as response:
            assert await response.json() == [ME, True, "socket"]


async def test_nothing_is_anonymous_but_the_health(address: Address, open_dir: Path) -> None:
    async with a_world(address, open_dir, extra=[tells_who]) as world:
        found = [(await world.get(path)).status for path in ("/healthz", "/metrics", JOBS, "/none")]
        assert found == [200, 401, 401, 401]


async def test_the_page_for_nobody_has_its_style_and_tells_nothing(
    address: Address, open_dir: Path
) -> None:
    async with a_world(address, open_dir) as world:
        page = await world.get("/", Accept="text/html")
        text = page.body.decode()
        assert page.status == 401
        assert "Who are you?" in text
        assert "leader" not in text
        for asset in re.findall(r'(?:href|src)="(/static/[^"]+)"', text):
            assert (await world.get(asset)).status == 200


async def test_what_is_configured_as_anonymous_is(address: Address, open_dir: Path) -> None:
    async with a_world(address, open_dir, anonymous_metrics=True, extra=[tells_who]) as world:
        assert [(await world.get(path)).status for path in ("/metrics", JOBS)] == [200, 401]


async def test_who_asks_too_often_has_to_wait_and_others_need_not(
    address: Address, open_dir: Path
) -> None:
    async with a_world(address, open_dir, requests_per_minute=3) as world:
        found = [await world.get(JOBS, "ada") for _ in range(4)]
        assert [answer.status for answer in found] == [200, 200, 200, 429]
        assert 1 <= int(found[3].headers["Retry-After"]) <= 20
        assert (await world.get(JOBS, "bob")).status == 200


def test_a_bucket_fills_again_with_time() -> None:
    now = [0.0]
    buckets = Buckets(60, lambda: now[0])
    assert [buckets.take("ada") for _ in range(60)] == [0.0] * 60
    assert buckets.take("ada") == 1.0
    now[0] = 1.0
    assert buckets.take("ada") == 0.0


async def test_the_socket_of_a_dead_process_is_replaced(open_dir: Path) -> None:
    path = open_dir / "s"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with places.unix_socket(path) as made:
        assert made.getsockname() == str(path)
        assert path.stat().st_mode & 0o777 == 0o666
    assert not path.exists()


async def test_a_socket_in_use_stays_and_the_second_is_told(open_dir: Path) -> None:
    path = open_dir / "s"
    with places.unix_socket(path) as made:
        made.listen()
        with pytest.raises(WebUnavailable, match="another process listens on"):
            places.unix_socket(path).__enter__()
        assert path.exists()


async def test_a_file_that_is_no_socket_is_left_alone(open_dir: Path) -> None:
    path = open_dir / "s"
    path.write_text("mine")
    with pytest.raises(WebUnavailable, match="is no socket"):
        places.unix_socket(path).__enter__()
    assert path.read_text() == "mine"


async def test_a_port_in_use_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(WebUnavailable, match="another process listens there"):
            places.tcp_socket(listen).__enter__()


async def test_who_come_all_at_once_wait_and_are_not_turned_away(
    world: World, open_dir: Path
) -> None:
    with ExitStack() as stack:
        for _ in range(300):
            each = stack.enter_context(socket.socket(socket.AF_UNIX))
            each.setblocking(False)
            each.connect(str(open_dir / "s"))
        assert (await world.on_host(JOBS)).status == 200


@as_root
async def test_one_user_cannot_take_all_connections(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "EACH", 2)
    path = Path(str(world.site.web.socket))
    with ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(as_nobody(path))
        assert (await world.on_host(JOBS)).status == 200
        with pytest.raises((ConnectionError, IndexError)):
            await by_nobody(world, JOBS)
    assert (await by_nobody(world, JOBS))[0] == 200
