"""Pages and API: does the socket answer, who is whoever asks to it, is it ready, does the port?"""

from __future__ import annotations

import json
import os
import shlex
import ssl
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp

from ajrd.config import Config
from ajrd.doctor.check import QUESTION, Check, Finding, Group, Look, NotAsked, fail, ok, warn
from ajrd.doctor.tools import account, in_thread, told_by
from ajrd.errors import WebUnavailable

#: Bytes of an answer.
_MOST = 8 << 20
#: As of :func:`~ajrd.doctor.check.ok` in HTTP.
_WELL, _AWAY, _UNKNOWN = 200, 503, 401


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer over HTTP: status and body."""

    status: int
    body: bytes

    def document(self) -> Mapping[str, Any]:
        """The JSON object in it, empty for anything else."""
        try:
            found = json.loads(self.body)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}


async def over_socket(look: Look, path: str) -> Answered:
    """Asks the service on its socket; raises NotAsked or WebUnavailable."""
    where = look.config.web.socket
    if not where:
        raise NotAsked("web.socket is not set")
    return await _get(aiohttp.UnixConnector(where), "http://localhost" + path, where)


async def _get(connector: aiohttp.BaseConnector, url: str, where: str) -> Answered:
    limit = aiohttp.ClientTimeout(total=QUESTION)
    try:
        async with (
            aiohttp.ClientSession(connector=connector, timeout=limit) as session,
            session.get(url, headers={"Accept": "application/json"}, allow_redirects=False) as got,
        ):
            body = await got.content.read(_MOST)
            while not got.content.at_eof() and len(body) < _MOST:
                body += await got.content.read(_MOST)
            return Answered(got.status, body)
    except TimeoutError:
        raise WebUnavailable(f"{where} gave no answer within {QUESTION:g} s") from None
    except (aiohttp.ClientError, OSError, ssl.SSLError, ValueError) as error:
        raise WebUnavailable(f"nobody answers on {where}: {error}") from None


async def socket_there(look: Look) -> Answered:
    """``/healthz``; raises WebUnavailable with what is at the path."""
    where = look.config.web.socket
    if not where:
        raise NotAsked("web.socket is not set: commands of users need the database")
    try:
        mode = (await in_thread(lambda: os.stat(where))).st_mode
    except OSError as error:
        raise WebUnavailable(f"no socket at {where}: {error.strerror}") from None
    if not stat.S_ISSOCK(mode):
        raise WebUnavailable(f"{where} is no socket")
    return await over_socket(look, "/healthz")


def judge_socket(found: Answered, config: Config) -> Finding:
    """It is the service's."""
    if found.status == _WELL and found.document().get("alive") is True:
        return ok(f"the service answers on {config.web.socket}")
    where = shlex.quote(config.web.socket or "")
    return fail(f"{config.web.socket} answers as no ajrd does", f"ss -xlp src {where}")


@dataclass(frozen=True, slots=True)
class Me:
    """Who asks, and whether the service told what only operators may know."""

    name: str
    status: int
    operator: bool


async def me(look: Look) -> Me:
    """The service knows it from the kernel."""
    try:
        answer = await over_socket(look, "/api/v1/service")
    except WebUnavailable:
        raise NotAsked("not looked at: the socket does not answer") from None
    name = (await in_thread(lambda: account(os.geteuid(), ""))).name
    return Me(name, answer.status, answer.document().get("host") is not None)


def judge_me(found: Me, _config: Config) -> Finding:
    """An administrator wants to be an operator."""
    if found.status != _WELL:
        mend = "journalctl -u ajrd -n 50"
        return fail(f"the service answers {found.name} with HTTP {found.status}", mend)
    if found.operator:
        return ok(f"{found.name} is an operator")
    mend = f"ajrd config check  # add {shlex.quote(found.name)} to web.operators"
    return warn(f"{found.name} is no operator and sees his own jobs alone", mend)


async def ready(look: Look) -> Answered:
    """``/readyz`` on the socket."""
    try:
        return await over_socket(look, "/readyz")
    except WebUnavailable:
        raise NotAsked("not looked at: the socket does not answer") from None


def judge_ready(found: Answered, _config: Config) -> Finding:
    """It has its database and its Slurm."""
    told = found.document()
    if found.status == _WELL and told.get("ready") is True:
        return ok(f"ready, as {told.get('role')}")
    reasons = told.get("reasons")
    said = "; ".join(map(str, reasons)) if isinstance(reasons, list) else f"HTTP {found.status}"
    return fail(f"not ready: {said}"[:300], "journalctl -u ajrd -n 50")


async def port(look: Look) -> Answered:
    """Anything that speaks HTTP there, as nobody in particular."""
    where = look.config.web.listen
    if not where:
        raise NotAsked("web.listen is not set")
    host, _, number = where.rpartition(":")
    host = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]", "::": "[::1]"}.get(host, host)  # noqa: S104
    return await _get(aiohttp.TCPConnector(), f"http://{host}:{number}/healthz", where)


def judge_port(found: Answered, config: Config) -> Finding:
    """It may refuse whoever says nothing of himself, but it is the service."""
    if found.document().get("alive") is True or found.status == _UNKNOWN:
        return ok(f"the service answers on {config.web.listen}")
    number = (config.web.listen or "").rpartition(":")[2]
    said = f"{config.web.listen} answers with HTTP {found.status}, as no ajrd does"
    return fail(said, f"ss -tlnp 'sport = :{shlex.quote(number)}'")


async def munge(look: Look) -> int:
    """Makes a credential, as a user would who asks over the network."""
    if not look.config.web.listen:
        raise NotAsked("web.listen is not set")
    try:
        return (await told_by("munge", "-n")).code
    except NotAsked:
        return 1


def judge_munge(code: int, _config: Config) -> Finding:
    """munged is there."""
    if code == 0:
        return ok("munged makes credentials")
    said = "munged makes no credential: only a proxy's users are known over the network"
    return warn(said, "systemctl restart munge")


_G, _MEND = Group.WEB, "systemctl restart ajrd"
CHECKS: tuple[Check[Any], ...] = (
    Check("socket", _G, "web.socket", socket_there, judge_socket, _MEND),
    Check("me", _G, "who whoever asks is to the service", me, judge_me, _MEND),
    Check("readyz", _G, "is it ready", ready, judge_ready, _MEND),
    Check("port", _G, "web.listen", port, judge_port, _MEND),
    Check("munge", _G, "credentials of users over the network", munge, judge_munge, _MEND),
)
