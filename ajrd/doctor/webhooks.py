"""Webhooks: has each a secret, is its host there, does it take what it is sent?

No event is posted. Whether an endpoint takes the signature, only a delivery tells: the queue shows.
"""

from __future__ import annotations

import asyncio
import re
import shlex
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from ajrd.asides import endpoint_of, webhook_place
from ajrd.config import Config, Webhook
from ajrd.doctor.check import Check, Finding, Group, Look, NotAsked, fail, ok, warn
from ajrd.doctor.database import seen
from ajrd.doctor.tools import address_of, in_thread, secret_of
from ajrd.doctor.web import over_socket
from ajrd.errors import ConfigError, RemoteUnavailable, WebUnavailable
from ajrd.notify.message import message
from ajrd.notify.sender import PAGE, Endpoint
from ajrd.outbound import Place
from ajrd.reach import reached
from ajrd.store import outbox
from ajrd.store.address import HERE
from ajrd.store.driver import Connection, connect

#: Seconds for one step of a conversation with another service.
PATIENCE = 3.0
#: Bytes of a secret that HMAC-SHA256 makes full use of (RFC 2104, 3).
LEAST = 32
#: Age of an event that is still on its way; how far back lost ones are looked for, and how many.
LATE, RECENT, MOST = timedelta(minutes=15), timedelta(days=1), 100


def webhooks_of(look: Look) -> tuple[Webhook, ...]:
    """Those of the configuration; raises NotAsked without any."""
    found = look.config.notify.webhooks
    if not found:
        raise NotAsked("notify.webhooks is empty")
    return found


def patient(place: Place) -> Place:
    """The same with a time limit that fits in here."""
    return replace(place, timeout=min(place.timeout, PATIENCE))


def in_clear(url: str) -> bool:
    """Does it go over a network as plain text?"""
    parts = urlsplit(url)
    return parts.scheme == "http" and parts.hostname not in HERE


def asks(url: str) -> str:
    """The command that shows how the host of a URL answers; nothing but GET, nothing but ``/``."""
    parts = urlsplit(url)
    return f"curl -v {shlex.quote(f'{parts.scheme}://{parts.netloc}/')}"


@dataclass(frozen=True, slots=True)
class Secret:
    """The secret of an endpoint: its bytes, None if that cannot be told from here."""

    webhook: Webhook
    length: int | None
    error: str = ""


async def secrets(look: Look) -> tuple[Secret, ...]:
    """As the service reads them."""
    found = webhooks_of(look)
    return await in_thread(lambda: tuple(map(_secret, found)))


def _secret(webhook: Webhook) -> Secret:
    endpoint = endpoint_of(webhook)
    try:
        name = f"webhook {webhook.name}"
        found = secret_of(webhook.secret_file, endpoint.credential, name)
    except ConfigError as error:
        return Secret(webhook, None, str(error))
    return Secret(webhook, None if found is None else len(found))


def judge_secrets(found: tuple[Secret, ...], _config: Config) -> Finding:
    """An endpoint without one is told nothing; 32 bytes or more make a good signature."""
    findings = [_judge_secret(each) for each in found]
    return worst(findings) or ok(f"{len(found)} webhooks have a secret each")


def _judge_secret(found: Secret) -> Finding | None:
    webhook, credential = found.webhook, endpoint_of(found.webhook).credential
    file = shlex.quote(webhook.secret_file or f"/etc/ajrd/webhook-{webhook.name}")
    make = f"(umask 077; openssl rand -hex 32 >{file})  # and tell the receiver"
    if found.error:
        return fail(found.error, f"ls -l {file}")
    if found.length is None:
        said = f"webhook {webhook.name} has no secret_file, and only the running service can see"
        return warn(f"{said} the credential {credential}", "systemctl start ajrd")
    if not found.length:
        return fail(f"webhook {webhook.name} has no secret and is told nothing", make)
    if found.length < LEAST:
        said = f"the secret of webhook {webhook.name} has {found.length} bytes, less than {LEAST}"
        return warn(said, make)
    return None


def worst(findings: Iterable[Finding | None]) -> Finding | None:
    """The gravest of some findings, with how many more there are; None if all is well."""
    found = sorted((each for each in findings if each), key=lambda each: each.level.value)
    if not found:
        return None
    more = f" (and {len(found) - 1} more)" if found[1:] else ""
    return replace(found[0], found=f"{found[0].found}{more}")


@dataclass(frozen=True, slots=True)
class Reached:
    """What was found at a URL; ``error`` if nothing was."""

    name: str
    url: str
    where: str
    error: str = ""


async def hosts(look: Look) -> tuple[Reached, ...]:
    """Connects to each at once; with TLS up to the end of its handshake."""
    return tuple(await asyncio.gather(*map(_host, webhooks_of(look))))


async def _host(webhook: Webhook) -> Reached:
    try:
        where = await reached(patient(webhook_place(webhook)), webhook.url)
    except RemoteUnavailable as error:
        return Reached(webhook.name, webhook.url, "", str(error))
    return Reached(webhook.name, webhook.url, where)


def judge_hosts(found: tuple[Reached, ...], _config: Config) -> Finding:
    """Each is known, listens and proves who it is; texts go over no network in clear."""
    findings = [fail(each.error, asks(each.url)) for each in found if each.error]
    findings += [
        warn(
            f"webhook {each.name}: {each.where}: anybody on the way may read what is told",
            "ajrd config check  # change its url to https",
        )
        for each in found
        if not each.error and in_clear(each.url)
    ]
    return worst(findings) or ok("; ".join(f"{each.name}: {each.where}" for each in found))


@dataclass(frozen=True, slots=True)
class Queue:
    """One endpoint's: how long (s) the oldest event waits, what it was never told, and why."""

    name: str
    began: bool
    waits: float = 0.0
    lost: tuple[str, ...] = ()
    why: str = ""


async def queues(look: Look) -> tuple[Queue, ...]:
    """What the store says, and of those that are late what the service says."""
    endpoints = [endpoint_of(webhook) for webhook in webhooks_of(look)]
    await seen(look)
    address = address_of(look)
    found = await in_thread(lambda: _read(connect(address), endpoints))
    reasons = await _reasons(look) if any(map(_late, found)) else {}
    return tuple(replace(each, why=reasons.get(each.name, "")) for each in found)


def _read(db: Connection, endpoints: Iterable[Endpoint]) -> list[Queue]:
    with closing(db):
        if "cursors" not in db.tables():
            raise NotAsked("not looked at: the database has no tables of this ajrd")
        now = db.now()
        lost = [row["message"] for row in db.all(outbox.given_up(now - RECENT, MOST))]
        return [_queue(db, each, now, lost) for each in endpoints]


def _queue(db: Connection, endpoint: Endpoint, now: datetime, lost: Iterable[str]) -> Queue:
    stands = db.all(outbox.cursor(endpoint.cursor))
    if not stands:
        return Queue(endpoint.name, began=False)
    rows = db.all(outbox.behind(int(stands[0]["number"]), PAGE))
    told = (message(row, ()) for row in rows)
    waiting = [one.at for one in told if one is not None and endpoint.wants(one)]
    waits = (now - min(waiting)).total_seconds() if waiting else 0.0
    mine = tuple(each for each in lost if each.startswith(f"webhook {endpoint.name} "))
    return Queue(endpoint.name, True, max(waits, 0.0), mine)


def _late(queue: Queue) -> bool:
    return queue.waits > LATE.total_seconds()


async def _reasons(look: Look) -> dict[str, str]:
    """The service's last complaint of each endpoint, as far as it runs and is asked by somebody."""
    told: Any = None
    with suppress(NotAsked, WebUnavailable):
        told = (await over_socket(look, "/api/v1/service")).document().get("troubles")
    return dict(_complaints(told if isinstance(told, list) else []))


def _complaints(troubles: Iterable[Any]) -> Iterator[tuple[str, str]]:
    for each in troubles:
        if isinstance(each, dict) and each.get("event") == "webhook_failed":
            said = str(each.get("message"))
            if name := re.search(r"\(endpoint=([a-z0-9-]+)\)$", said):
                yield name[1], said


def judge_queues(found: tuple[Queue, ...], _config: Config) -> Finding:
    """What happens is taken within a quarter of an hour, and nothing was given up for a day."""
    findings = [_judge_queue(each) for each in found]
    return worst(findings) or ok(f"nothing waits for {', '.join(each.name for each in found)}")


def _judge_queue(queue: Queue) -> Finding | None:
    log = "journalctl -u ajrd -n 1000 | grep webhook_"
    if _late(queue):
        said = f"webhook {queue.name} has not taken an event for {queue.waits / 60:.0f} min"
        return replace(fail(said, log), detail=queue.why[:300])
    if queue.lost:
        said = f"webhook {queue.name}: events given up in a day: {len(queue.lost)}"
        return replace(warn(said, "ajrd events --limit 1000"), detail=queue.lost[0][:300])
    if not queue.began:
        return warn(f"no ajrd has ever served webhook {queue.name}", "systemctl restart ajrd")
    return None


_G = Group.OUTWARD
CHECKS: tuple[Check[Any], ...] = (
    Check("webhook-secret", _G, "secrets of the signatures", secrets, judge_secrets,
          "ajrd config check"),
    Check("webhook-host", _G, "does each host answer; a TLS handshake, no event", hosts,
          judge_hosts, "ajrd config check"),
    Check("webhook-queue", _G, "is an event stuck, were some given up", queues, judge_queues,
          "ajrd db check"),
)  # fmt: skip
