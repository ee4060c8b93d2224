"""Is somebody at a URL, and is it whom TLS is to prove? Connects as a request would, sends nothing.

What a failure means is said here in words for whoever has written the URL; requests themselves
(:mod:`ajrd.outbound`) say it in the words of their library.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from ajrd.errors import ConfigError, RemoteUnavailable
from ajrd.outbound import Place
from ajrd.text import printable

_PORTS = {"http": 80, "https": 443}


async def reached(place: Place, url: str) -> str:
    """The host and port of a URL that somebody listens at, and the TLS that is spoken there.

    Raises RemoteUnavailable: the name is not known, nobody listens or answers, TLS fails. Whether
    a server takes the certificate of ours it may not have said yet when this returns (TLS 1.3).
    """
    with _named(place):
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
    where = f"{host}:{port}"
    with _named(place, where):
        async with asyncio.timeout(place.timeout):
            tls = await _context(place) if parts.scheme == "https" else None
            _, writer = await asyncio.open_connection(host, port, ssl=tls)
    try:
        secured = writer.get_extra_info("ssl_object")
        return f"{where}, {secured.version()}" if secured else f"{where}, without TLS"
    finally:
        writer.transport.abort()


async def _context(place: Place) -> ssl.SSLContext:
    """In a thread: it reads files, which may lie anywhere."""
    return await asyncio.to_thread(lambda: place.tls.context() or ssl.create_default_context())


@contextmanager
def _named(place: Place, where: str = "its URL") -> Iterator[None]:
    """What went wrong, as a sentence; the order matters, most of these are OSError."""
    what, section = place.what, place.section
    try:
        yield
    except TimeoutError:
        said = f"{where} did not answer within {place.timeout:g} s"
        raise RemoteUnavailable(f"{what}: {said}") from None
    except ConfigError as error:
        said = str(error).replace("database.tls", f"{section}.tls")
        raise RemoteUnavailable(f"{what}: {said}") from None
    except ssl.SSLError as error:
        raise RemoteUnavailable(f"{what}: {_tls(error, where)}: see {section}.tls") from None
    except (socket.gaierror, UnicodeError):
        said = f"the host of {where} is not known here (its name cannot be resolved)"
        raise RemoteUnavailable(f"{what}: {said}: check the URL of {section}") from None
    except OSError as error:
        raise RemoteUnavailable(f"{what}: {_connecting(error, where)}") from None
    except ValueError as error:
        raise RemoteUnavailable(f"{what}: {where} is wrong: {error}: see {section}") from None


def _tls(error: ssl.SSLError, where: str) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"TLS: the certificate of {where} is refused: {printable(error.verify_message)}"
    if error.reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE"):
        return f"TLS: {where} does not speak TLS"
    return f"TLS: {where}: {error.reason or error}"


def _connecting(error: OSError, where: str) -> str:
    """A host of several addresses has several errors in one text."""
    if error.errno == errno.ECONNREFUSED or f"[Errno {errno.ECONNREFUSED}]" in str(error):
        return f"nobody listens at {where} (connection refused)"
    return f"cannot connect to {where}: {error}"
