"""One HTTP request to another service of the site, and what its failure means.

Nothing that is answered is trusted: it has a time limit and a size limit, and redirects are not
followed, since they would carry a token to wherever the answer says.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

import aiohttp
from yarl import URL

from ajrd.errors import ConfigError, RemoteUnavailable
from ajrd.retryafter import pause_of
from ajrd.store.address import Tls
from ajrd.text import printable

#: Bytes of the largest answer.
LARGEST = 64 << 10
#: Seconds between two tries: the first pause, and the longest.
SOON, SELDOM = 2.0, 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A service: ``what`` it is called in messages, ``section`` its place in the configuration."""

    what: str
    section: str
    tls: Tls = field(default_factory=Tls)
    timeout: float = 10.0


class Outbound:
    """Requests to one place. Closed by :meth:`close`."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Lets go of the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def ask(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None = None
    ) -> str:
        """The text of a good answer; raises RemoteUnavailable for anything else."""
        async with self._answer(method, url, headers, body) as answer:
            text = (await _bounded(answer)).decode("utf-8", "replace")
            if not 200 <= answer.status < 300:
                raise _failure(self._place, answer.status, text, answer.headers)
            return text

    async def status(self, url: str, headers: Mapping[str, str]) -> int:
        """What HTTP says to GET, whatever it is; the rest of the answer is left unread."""
        async with self._answer("GET", url, headers) as answer:
            return answer.status

    @asynccontextmanager
    async def _answer(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None = None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        place = self._place
        with _understood(place):
            async with (
                asyncio.timeout(place.timeout),
                self._open().request(
                    method,
                    URL(url, encoded=True),
                    data=body,
                    headers=headers,
                    ssl=place.tls.context() or True,
                    allow_redirects=False,
                ) as answer,
            ):
                yield answer

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=None), cookie_jar=aiohttp.DummyCookieJar()
            )
        return self._session


def pause(failures: int, luck: float, asked: float) -> float:
    """Seconds until the next try after so many failures in a row; ``luck`` is in [0, 1).

    ``asked`` is what the other side asked for (Retry-After).
    """
    steps = min(max(failures - 1, 0), 16)
    return max(min(SOON * 2.0**steps, SELDOM) * (0.5 + luck), asked)


async def _bounded(answer: aiohttp.ClientResponse) -> bytes:
    """The answer as far as it may be long; of one that is longer nothing is believed."""
    text = b""
    async for part in answer.content.iter_any():
        text += part
        if len(text) > LARGEST:
            raise ValueError(f"the answer is larger than {LARGEST >> 10} KiB")
    return text


def _failure(place: Place, status: int, text: str, headers: Mapping[str, str]) -> RemoteUnavailable:
    said = f"{place.what}: HTTP {status}: {printable(text.strip()[:300])}"
    if status in (401, 403):
        said += f"; check the token or secret of {place.section}"
    elif status < 400 or status in (404, 405):
        said += f"; check the URL of {place.section} (redirects are not followed)"
    return RemoteUnavailable(said, pause_of(headers.get("Retry-After", "")), status)


@contextmanager
def _understood(place: Place) -> Iterator[None]:
    """Errors of the network, of TLS and of the configuration as those of the other side."""
    what = place.what
    try:
        yield
    except TimeoutError:
        raise RemoteUnavailable(f"{what} did not answer within {place.timeout:g} s") from None
    except ConfigError as error:
        said = str(error).replace("database.tls", f"{place.section}.tls")
        raise RemoteUnavailable(f"{what}: {said}") from None
    except (aiohttp.ClientSSLError, ssl.SSLError) as error:
        said = f"{what}: TLS: {error}: see {place.section}.tls"
        raise RemoteUnavailable(said) from None
    except aiohttp.ServerDisconnectedError:
        said = f"{what} closed the connection without an answer"
        if place.tls.ca:
            said += f": it may want another certificate of ours, see {place.section}.tls"
        raise RemoteUnavailable(said) from None
    except aiohttp.ClientResponseError as error:
        said = printable(" ".join(str(error.message).split()))[:300]
        raise RemoteUnavailable(f"{what}: what answers does not speak HTTP: {said}") from None
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise RemoteUnavailable(f"{what}: {error or type(error).__name__}") from None
