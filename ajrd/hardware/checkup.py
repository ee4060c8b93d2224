"""Would the hardware service listen to ajrd? For ``ajrd setup`` and the doctor.

No node is reported: all that is sent is GET, which changes nothing at a server that keeps to HTTP
(RFC 9110, 9.2.1), at ``verdict_url`` for a report that nobody has made, or without one at ``/``.

So this tells whether the host of ``url`` is known, is there and proves who it is; that HTTP is
spoken; that a token is refused. That a token is taken can only be told where the same question is
refused without it. Whether a report would be taken, with this body, and whether its answer would be
understood, only a report tells.
"""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

from ajrd.config import HARDWARE_TOKEN, HardwareApiSection
from ajrd.errors import ConfigError, RemoteUnavailable
from ajrd.hardware.api import place_of
from ajrd.hardware.template import NAMES, REFERENCE, filled_url
from ajrd.outbound import Outbound, Place
from ajrd.reach import reached
from ajrd.secret import read_secret

#: What stands for a node, a job, a report, in the question.
NOBODY = "ajrd-check"
_SAID = {"Accept": "application/json", "User-Agent": "ajrd"}
#: Answers of a proxy whose service is not at work.
_AWAY = frozenset({502, 503, 504})
#: What is answered to a token that is not good, or that is missing.
DENIED = frozenset({401, 403})


async def tried(section: HardwareApiSection) -> str:
    """What can be told of the service; takes three times ``section.timeout`` at most.

    Raises RemoteUnavailable with a sentence for people.
    """
    if not section.url:
        raise RemoteUnavailable("the hardware service: hardware.api.url is not set")
    place = place_of(section.tls.files(), section.timeout)
    token = await _token(section, place)
    where = await reached(place, section.url)
    url = question(section)
    outbound = Outbound(place)
    try:
        status = bare = await outbound.status(url, _SAID)
        if token:
            status = await outbound.status(url, _SAID | {"Authorization": f"Bearer {token}"})
    finally:
        await outbound.close()
    at_root = not section.verdict_url
    return f"{where}, {judged(place.what, token != '', bare, status, at_root=at_root)}"


async def _token(section: HardwareApiSection, place: Place) -> str:
    """In a thread, with a time limit: files may lie anywhere."""
    file = section.token_file
    try:
        async with asyncio.timeout(place.timeout):
            token = await asyncio.to_thread(read_secret, file, HARDWARE_TOKEN, place.what)
    except TimeoutError:
        raise RemoteUnavailable(f"{place.what}: its token cannot be read in time") from None
    except ConfigError as error:
        raise RemoteUnavailable(str(error)) from None
    if file and not token:
        raise RemoteUnavailable(f"{place.what}: there is no token in {file}: the file is empty")
    return token.decode("latin-1")


def question(section: HardwareApiSection) -> str:
    """The URL that is asked."""
    if section.verdict_url:
        return filled_url(section.verdict_url, dict.fromkeys(NAMES | {REFERENCE}, NOBODY))
    parts = urlsplit(section.url or "")
    return f"{parts.scheme}://{parts.netloc}/"


def judged(what: str, token: bool, bare: int, status: int, *, at_root: bool) -> str:
    """What the answers without and with the token mean; raises RemoteUnavailable.

    Many servers show nobody what is at ``/``: a 403 there for everybody says nothing of the token.
    """
    said = f"{what} answers with HTTP {status}"
    if status in _AWAY:
        raise RemoteUnavailable(f"{said}: it is not at work", status=status)
    if status // 100 == 3 and not at_root:
        raise RemoteUnavailable(
            f"{said}, to go elsewhere, which is not followed: check hardware.api.verdict_url",
            status=status,
        )
    hidden = at_root and bare == status == 403
    if status in DENIED and not hidden:
        raise RemoteUnavailable(f"{said}: {_denied(token)}", status=status)
    if not token:
        return f"HTTP {status}; no token is configured"
    if bare in DENIED and not hidden:
        return f"HTTP {status}; the token is taken"
    return f"HTTP {status}; whether the token is good cannot be told without a report"


def _denied(token: bool) -> str:
    if token:
        return "it refuses the token: check hardware.api.token_file"
    return f"it wants a token: name its file in hardware.api.token_file, or give {HARDWARE_TOKEN}"
