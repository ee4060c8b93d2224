"""Is somebody there, and would the hardware service listen? Asked of servers of every kind."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, cast

import pytest

from ajrd.config import HardwareApiSection
from ajrd.errors import RemoteUnavailable
from ajrd.hardware.checkup import judged, tried
from ajrd.outbound import Place
from ajrd.reach import reached
from ajrd.store.address import Tls
from labcluster.ports import free_block
from tests.database.server import a_certificate
from tests.outward.receiver import (
    BROKEN,
    DENIED,
    ELSEWHERE,
    HANG,
    HUGE,
    TRICKLE,
    Receiver,
    Reply,
    receiving,
    said,
)

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
MISSING, NOT_POST = Reply(404), Reply(405)


@asynccontextmanager
async def listening(talk: Talk) -> AsyncIterator[str]:
    """The host and port of a server that says to each caller what a test wants."""
    calls: set[asyncio.Task[None]] = set()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        calls.add(cast("asyncio.Task[None]", asyncio.current_task()))
        with suppress(OSError):
            await talk(reader, writer)
        writer.transport.abort()
        with suppress(OSError):
            await writer.wait_closed()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield "127.0.0.1:{1}".format(*server.sockets[0].getsockname())
    finally:
        server.close()
        await asyncio.gather(*calls)


async def says_nothing(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """It waits until the other one goes."""
    await reader.read()


def says(text: bytes) -> Talk:
    """The same to everybody."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(text)
        await writer.drain()
        writer.write_eof()
        await reader.read()

    return talk


async def floods(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A header without end."""
    await reader.read(1)
    writer.write(b"HTTP/1.1 200 OK\r\nX: ")
    while not writer.is_closing():
        writer.write(b"x" * 4096)
        await writer.drain()


def place(tls: Tls | None = None, timeout: float = 5.0) -> Place:
    return Place(what="webhook ops", section="notify.webhooks", tls=tls or Tls(), timeout=timeout)


def section(url: str, **values: Any) -> HardwareApiSection:
    return HardwareApiSection.model_validate({"url": url, "timeout": 5.0, **values})


async def refusal(work: Awaitable[str]) -> str:
    """The sentence in which it is refused."""
    with pytest.raises(RemoteUnavailable) as error:
        await work
    said = str(error.value)
    assert said.isprintable()
    return said


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[str, str]:
    """A server's key with its certificate, and that alone to be trusted."""
    return str(a_certificate(tmp_path)), str(tmp_path / "certificate.pem")


@pytest.fixture
def secured(certificate: tuple[str, str]) -> Iterator[Receiver]:
    """A receiver that speaks TLS."""
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate[0])
    with receiving(tls=tls) as receiver:
        yield receiver


# who is there


async def test_a_listener_is_reached_and_sent_nothing(receiver: Receiver) -> None:
    where = await reached(place(), f"{receiver.url}/hook")
    assert where == f"127.0.0.1:{receiver.port}, without TLS"
    assert receiver.sent == []


async def test_tls_is_spoken_with_whom_the_configuration_trusts(
    secured: Receiver, certificate: tuple[str, str]
) -> None:
    where = await reached(place(Tls(certificate[1])), secured.url)
    assert where == f"127.0.0.1:{secured.port}, TLSv1.3"
    assert secured.sent == []


async def test_a_certificate_that_nobody_trusts_is_refused(secured: Receiver) -> None:
    said = await refusal(reached(place(), secured.url))
    assert "TLS: the certificate of 127.0.0.1:" in said
    assert said.endswith("self-signed certificate: see notify.webhooks.tls")


async def test_a_certificate_of_another_host_is_refused(
    secured: Receiver, certificate: tuple[str, str]
) -> None:
    url = secured.url.replace("127.0.0.1", "localhost")
    said = await refusal(reached(place(Tls(certificate[1])), url))
    assert "certificate is not valid for 'localhost'" in said


async def test_https_to_a_plain_server_is_named_so(receiver: Receiver) -> None:
    said = await refusal(reached(place(), receiver.url.replace("http:", "https:")))
    assert f"127.0.0.1:{receiver.port} does not speak TLS" in said


async def test_a_file_of_tls_that_is_not_there_is_named(secured: Receiver) -> None:
    said = await refusal(reached(place(Tls("/none/ca.pem")), secured.url))
    assert said.startswith("webhook ops: cannot use the files of notify.webhooks.tls")


async def test_a_port_without_a_listener_is_named() -> None:
    port = free_block(1)
    said = await refusal(reached(place(), f"http://localhost:{port}/x"))
    assert said == f"webhook ops: nobody listens at localhost:{port} (connection refused)"


@pytest.mark.parametrize("host", ["a..b", "x" * 64, "unknown.example"])
async def test_a_name_that_cannot_be_resolved_is_named(
    host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_what: object, **_named: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    if host == "unknown.example":
        monkeypatch.setattr(socket, "getaddrinfo", unknown)
    said = await refusal(reached(place(), f"https://{host}/x"))
    assert said.startswith(f"webhook ops: the host of {host}:443 is not known here")
    assert said.endswith("check the URL of notify.webhooks")


async def test_a_url_with_an_impossible_port_is_named() -> None:
    said = await refusal(reached(place(), "http://127.0.0.1:99999/x"))
    assert said.startswith("webhook ops: its URL is wrong: Port out of range")


async def test_a_server_that_says_nothing_is_not_waited_for() -> None:
    async with listening(says_nothing) as where:
        said = await refusal(reached(place(timeout=0.2), f"https://{where}/"))
    assert said == f"webhook ops: {where} did not answer within 0.2 s"


async def test_a_resolver_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    async def hangs(*_what: object, **_named: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", hangs)
    said = await refusal(reached(place(timeout=0.05), "https://slow.example/"))
    assert said == "webhook ops: slow.example:443 did not answer within 0.05 s"


@pytest.mark.parametrize("text", [b"", b"SSH-2.0-OpenSSH_9.2\r\n", b"\x15\x03\x03\x00\x02\x02\x28"])
async def test_a_handshake_that_is_answered_with_anything_else_fails(text: bytes) -> None:
    async with listening(says(text)) as where:
        said = await refusal(reached(place(), f"https://{where}/"))
    assert where in said


# the hardware service


@pytest.mark.parametrize("reply", [said({}), MISSING, NOT_POST, BROKEN, HUGE, TRICKLE, Reply(429)])
async def test_whatever_it_says_to_a_question_it_is_there_and_no_node_is_reported(
    receiver: Receiver, reply: Reply
) -> None:
    receiver.usual = reply
    found = await tried(section(f"{receiver.url}/nodes/{{node}}"))
    where = f"127.0.0.1:{receiver.port}, without TLS"
    assert found == f"{where}, HTTP {reply.status}; no token is configured"
    assert [(sent.method, sent.path, sent.body) for sent in receiver.sent] == [("GET", "/", b"")]


async def test_the_verdict_of_a_report_that_nobody_made_is_asked_for(
    receiver: Receiver, secret_file: Path
) -> None:
    receiver.replies.extend([DENIED, MISSING])
    url = f"{receiver.url}/v/{{reference}}?node={{node}}&as={{{{"
    found = await tried(section(receiver.url, verdict_url=url, token_file=str(secret_file)))
    assert found.endswith("HTTP 404; the token is taken")
    assert {(sent.method, sent.path) for sent in receiver.sent} == {
        ("GET", "/v/ajrd-check?node=ajrd-check&as={")
    }
    tokens = [sent.headers.get("authorization") for sent in receiver.sent]
    assert tokens == [None, "Bearer s3cret"]


async def test_a_service_that_asks_nobody_who_he_is_says_nothing_of_the_token(
    receiver: Receiver, secret_file: Path
) -> None:
    receiver.usual = MISSING
    found = await tried(section(receiver.url, token_file=str(secret_file)))
    assert found.endswith("HTTP 404; whether the token is good cannot be told without a report")


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refused_token_is_named_with_its_place(
    receiver: Receiver, secret_file: Path, status: int
) -> None:
    receiver.usual = Reply(status)
    values = {"verdict_url": f"{receiver.url}/v", "token_file": str(secret_file)}
    said = await refusal(tried(section(receiver.url, **values)))
    assert said == (
        f"the hardware service answers with HTTP {status}:"
        " it refuses the token: check hardware.api.token_file"
    )
    assert "s3cret" not in said


async def test_a_service_that_wants_a_token_where_there_is_none_says_so(receiver: Receiver) -> None:
    receiver.usual = DENIED
    said = await refusal(tried(section(receiver.url)))
    assert "it wants a token: name its file in hardware.api.token_file" in said


@pytest.mark.parametrize(
    ("token", "bare", "status", "at_root", "words"),
    [
        (True, 403, 403, True, "cannot be told without a report"),
        (False, 403, 403, True, "no token is configured"),
        (True, 403, 200, True, "the token is taken"),
        (True, 401, 404, False, "the token is taken"),
        (False, 307, 307, True, "no token is configured"),
    ],
)
def test_what_two_answers_mean(
    token: bool, bare: int, status: int, at_root: bool, words: str
) -> None:
    assert words in judged("it", token, bare, status, at_root=at_root)


@pytest.mark.parametrize(
    ("token", "bare", "status", "at_root", "words"),
    [
        (True, 404, 403, True, "refuses the token"),
        (True, 401, 401, True, "refuses the token"),
        (True, 403, 403, False, "refuses the token"),
        (False, 401, 401, True, "wants a token"),
        (False, 307, 307, False, "to go elsewhere, which is not followed"),
        (False, 502, 502, True, "it is not at work"),
        (True, 401, 503, False, "it is not at work"),
    ],
)
def test_what_two_answers_refuse(
    token: bool, bare: int, status: int, at_root: bool, words: str
) -> None:
    with pytest.raises(RemoteUnavailable, match=words) as error:
        judged("it", token, bare, status, at_root=at_root)
    assert error.value.status == status


async def test_a_redirect_takes_no_token_anywhere(receiver: Receiver, secret_file: Path) -> None:
    receiver.usual = ELSEWHERE
    values = {"verdict_url": f"{receiver.url}/v", "token_file": str(secret_file)}
    said = await refusal(tried(section(receiver.url, **values)))
    assert "check hardware.api.verdict_url" in said


@pytest.mark.parametrize(
    "talk",
    [
        pytest.param(says(b"SSH-2.0-OpenSSH_9.2\r\n"), id="another protocol"),
        pytest.param(says(b"\x00\x1b[2J\xff" * 40), id="rubbish"),
        pytest.param(says(b"HTTP/1.1 200 OK\r\nno header\r\n\r\n"), id="a broken header"),
        pytest.param(floods, id="a header without end"),
    ],
)
async def test_what_speaks_no_http_is_named(talk: Talk) -> None:
    async with listening(talk) as where:
        said = await refusal(tried(section(f"http://{where}/")))
    assert said.startswith("the hardware service: what answers does not speak HTTP")
    assert len(said) < 400


async def test_a_closed_connection_is_named() -> None:
    async with listening(says(b"")) as where:
        said = await refusal(tried(section(f"http://{where}/")))
    assert said == "the hardware service closed the connection without an answer"


async def test_a_service_that_hangs_is_not_waited_for(receiver: Receiver) -> None:
    receiver.usual = HANG
    said = await refusal(tried(section(receiver.url, timeout=0.2)))
    assert said == "the hardware service did not answer within 0.2 s"


async def test_a_certificate_of_ours_that_it_does_not_take_is_refused(
    certificate: tuple[str, str],
) -> None:
    """In TLS 1.3 that shows only when something is read: to a handshake all was well."""
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=certificate[1])
    tls.load_cert_chain(certificate[0])
    tls.verify_mode = ssl.CERT_REQUIRED
    with receiving(tls=tls) as receiver:
        values: dict[str, Any] = {"tls": {"ca": certificate[1]}}
        assert "certificate" in (await refusal(tried(section(receiver.url, **values)))).lower()
        values["tls"]["cert"] = certificate[0]
        assert "TLSv1.3, HTTP 200" in await tried(section(receiver.url, **values))


@pytest.mark.parametrize(
    ("content", "mode", "words"),
    [
        ("", 0o600, "there is no token in "),
        ("x\n", 0o644, "everybody may read"),
        ("two\nlines: evil\n", 0o600, "the hardware service"),
    ],
    ids=["empty", "open", "lines"],
)
async def test_a_token_that_cannot_be_used_is_named_and_never_shown(
    receiver: Receiver, tmp_path: Path, content: str, mode: int, words: str
) -> None:
    file = tmp_path / "token"
    file.write_text(content)
    file.chmod(mode)
    said = await refusal(tried(section(receiver.url, token_file=str(file))))
    assert words in said
    assert "evil" not in said


async def test_a_token_that_is_not_there_or_never_comes_is_named(
    receiver: Receiver, tmp_path: Path
) -> None:
    said = await refusal(tried(section(receiver.url, token_file=str(tmp_path / "none"))))
    assert "No such file" in said


async def test_without_a_url_nobody_is_asked() -> None:
    assert "hardware.api.url is not set" in await refusal(tried(HardwareApiSection()))
