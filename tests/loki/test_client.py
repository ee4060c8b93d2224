"""What Loki says is wrong, and what it asks for, is understood."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from email.utils import format_datetime
from pathlib import Path

import pytest

from ajrd.errors import ConfigError, LokiDenied, LokiRefused, LokiTooMuch, LokiUnavailable
from ajrd.loki.client import Access, Loki, refuse
from ajrd.loki.entries import Reader
from ajrd.loki.health import Health, State
from ajrd.loki.sweep import Pages
from ajrd.retryafter import pause_of
from ajrd.store.address import Tls
from tests.database.server import a_certificate
from tests.loki.double import Double, basic
from tests.loki.shipping import Shipper, numbered
from tests.loki.world import now

SECOND = 10**9


@asynccontextmanager
async def client_of(access: Access, tenant: str = "") -> AsyncIterator[Loki]:
    client = Loki(access, tenant, Reader(frozenset()), Health(tenant))
    try:
        yield client
    finally:
        await client.close()


async def lines(client: Loki) -> list[str]:
    found = await client.query('{job="j"}', 0, 1 << 62, 100)
    return [entry.line for entry in found]


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, "no org id", LokiDenied),
        (403, "", LokiDenied),
        (400, "parse error at line 1, col 5: syntax error", LokiRefused),
        (404, "404 page not found", LokiRefused),
        (302, "", LokiRefused),
        (400, "the query would read too many bytes (query: 2GB, limit: 1GB)", LokiTooMuch),
        (400, "the query time range exceeds the limit (query length: 800h0m0s, ...)", LokiTooMuch),
        (500, "context deadline exceeded", LokiTooMuch),
        (504, "", LokiTooMuch),
        (429, "too many outstanding requests", LokiUnavailable),
        (500, "empty ring", LokiUnavailable),
        (503, "Ingester not ready: waiting for 15s after being ready", LokiUnavailable),
    ],
)
def test_each_answer_is_of_one_kind(status: int, body: str, kind: type) -> None:
    with pytest.raises(LokiUnavailable) as caught:
        refuse(status, body, {})
    assert type(caught.value) is kind
    assert body in str(caught.value)


def test_a_pause_is_asked_for_in_seconds_or_until_a_time() -> None:
    assert pause_of("7") == 7
    assert pause_of("999999") == 300
    assert pause_of("soon") == pause_of("") == 0
    assert pause_of(format_datetime(now(), usegmt=False)) == 0


async def test_the_pause_that_loki_asks_for_comes_with_the_error(double: Double) -> None:
    double.refusals.append((429, "too many outstanding requests", {"Retry-After": "3"}))
    async with client_of(Access(url=double.url)) as client:
        with pytest.raises(LokiUnavailable) as caught:
            await lines(client)
    assert caught.value.pause == 3


async def test_each_tenant_reads_its_own(double: Double) -> None:
    double.must_name_tenant = True
    for tenant in ("a", "b"):
        Shipper(double.url, tenant).push({"job": "j"}, [(time.time_ns(), tenant)])
        async with client_of(Access(url=double.url), tenant) as client:
            assert await lines(client) == [tenant]
    async with client_of(Access(url=double.url)) as client:
        with pytest.raises(LokiDenied, match="no org id"):
            await lines(client)


async def test_a_user_and_a_token_come_from_files_that_may_change(
    double: Double, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("one\n")
    secret.chmod(0o600)
    double.secret = basic("ada", "one")
    async with client_of(Access(url=double.url, user="ada", password_file=str(secret))) as client:
        assert await lines(client) == []
        secret.write_text("two\n")
        with pytest.raises(LokiDenied, match="401"):
            await lines(client)
    double.secret = "Bearer two"
    async with client_of(Access(url=double.url, token_file=str(secret))) as client:
        assert await lines(client) == []
        secret.chmod(0o644)
        with pytest.raises(LokiDenied, match="everybody may read"):
            await lines(client)


async def test_loki_may_live_below_a_prefix(double: Double) -> None:
    await asyncio.to_thread(double.stop)
    double.prefix = "/gateway/loki"
    await asyncio.to_thread(double.start)
    async with client_of(Access(url=double.url)) as client:
        assert await client.ready() == "ready"
        assert await lines(client) == []
        async with client.tail('{job="j"}', time.time_ns()):
            pass


async def test_a_frozen_loki_is_given_up_and_asked_for_less(double: Double) -> None:
    async with client_of(Access(url=double.url, timeout=0.2)) as client:
        double.frozen.set()
        with pytest.raises(LokiTooMuch, match="did not answer in time"):
            await lines(client)
        double.frozen.clear()


async def test_a_loki_that_is_gone_is_away(double: Double) -> None:
    async with client_of(Access(url=double.url)) as client:
        await asyncio.to_thread(double.stop)
        with pytest.raises(LokiUnavailable, match="Cannot connect"):
            await lines(client)
        await asyncio.to_thread(double.start)
        assert await lines(client) == []


async def test_an_answer_that_is_not_loki_s_is_no_answer(double: Double) -> None:
    double.refusals.append((200, "<html>welcome</html>", {}))
    async with client_of(Access(url=double.url)) as client:
        with pytest.raises(LokiUnavailable, match="not Loki's"):
            await lines(client)


async def test_both_sides_show_a_certificate(double: Double, tmp_path: Path) -> None:
    both, ca = str(a_certificate(tmp_path)), str(tmp_path / "certificate.pem")
    await asyncio.to_thread(double.stop)
    double.tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=ca)
    double.tls.load_cert_chain(both)
    double.tls.verify_mode = ssl.CERT_REQUIRED
    await asyncio.to_thread(double.start)
    async with client_of(Access(url=double.url, tls=Tls(ca, both))) as client:
        assert await lines(client) == []
        async with client.tail('{job="j"}', time.time_ns()):
            pass
    async with client_of(Access(url=double.url)) as client:
        with pytest.raises(LokiRefused, match=r"TLS: .*see `loki\.tls`"):
            await lines(client)
    async with client_of(Access(url=double.url, tls=Tls(ca))) as client:
        with pytest.raises(LokiUnavailable):
            await lines(client)


def test_files_of_tls_that_cannot_be_used_are_named(double: Double) -> None:
    url = double.url
    with pytest.raises(ConfigError, match=r"loki\.tls"):
        Loki(Access(url=url, tls=Tls(ca="/none")), "", Reader(frozenset()), Health(""))


async def test_a_smaller_limit_and_a_shorter_time_are_found_by_asking(double: Double) -> None:
    double.limit = 300
    start = time.time_ns() - SECOND
    Shipper(double.url).push({"job": "j"}, numbered([f"{n}" for n in range(1000)], start))
    too_long = "the query time range exceeds the limit (query length: 1h0m0s, limit: 10m0s)"
    async with client_of(Access(url=double.url)) as client:
        pages = Pages(client, 5000, 3600 * SECOND, 3600 * SECOND)
        double.refusals.append((400, too_long, {}))
        found = {
            e.line async for p in pages.read('{job="j"}', start, start + 4 * SECOND) for e in p
        }
    assert len(found) == 1000
    assert pages.limit == 300


async def test_what_is_too_much_even_for_a_second_is_told(double: Double) -> None:
    double.refusals.extend([(400, "the query would read too many bytes", {})] * 20)
    async with client_of(Access(url=double.url)) as client:
        pages = Pages(client, 5000, 8 * SECOND, 8 * SECOND)
        with pytest.raises(LokiUnavailable, match="even for one second"):
            _ = [page async for page in pages.read('{job="j"}', 0, 8 * SECOND)]


def changes(*errors: Callable[[], LokiUnavailable]) -> list[State]:
    health, states = Health(""), []
    for error in errors:
        health.fault(error())
        states.append(health.state)
    health.well()
    return [*states, health.state]


def test_health_tells_what_needs_somebody_from_what_passes() -> None:
    states = changes(
        lambda: LokiUnavailable("x"), lambda: LokiDenied("x"), lambda: LokiRefused("x")
    )
    assert states == [State.AWAY, State.DENIED, State.REFUSED, State.WELL]
