"""The site's hardware-recovery service: told of a suspected node, asked for its verdict."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC
from typing import Any

from ajrd.errors import ConfigError, RemoteUnavailable
from ajrd.hardware.template import REFERENCE, Json, filled, filled_url
from ajrd.outbound import Outbound, Place
from ajrd.policy.bounded_json import JsonRefused, parse
from ajrd.policy.nodes import Health
from ajrd.secret import read_secret
from ajrd.store.address import Tls
from ajrd.store.handoffs import Suspect
from ajrd.text import printable

#: Characters of the longest reference that is kept.
_LONGEST = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How the service wants to be spoken to: templates, names of fields, its words for states.

    ``states`` maps its words, in lower case; ``verdict_url`` "" means that it is never asked.
    """

    url: str
    body: Json
    verdict_url: str = ""
    reference_field: str = "id"
    verdict_field: str = "state"
    states: Mapping[str, Health] = field(default_factory=dict)
    idempotency_header: str = "Idempotency-Key"
    token_file: str | None = None
    token_credential: str = "ajrd-hardware-token"  # noqa: S105 -- a name


@dataclass(frozen=True, slots=True)
class Told:
    """What an answer says: how the service calls the matter, its verdict, its own word for that.

    ``health`` is None for no word or one that the configuration does not know.
    """

    reference: str
    health: Health | None
    word: str


def place_of(tls: Tls, timeout: float) -> Place:
    """How the service is reached, and called; ``timeout`` of one request, seconds."""
    return Place(what="the hardware service", section="hardware.api", tls=tls, timeout=timeout)


class HardwareApi:
    """One service. Every call raises RemoteUnavailable."""

    def __init__(self, terms: Terms, place: Place) -> None:
        self._terms = terms
        self._outbound = Outbound(place)
        self._what = place.what

    @property
    def judges(self) -> bool:
        """Can it be asked for a verdict, besides what it answers to a report?"""
        return bool(self._terms.verdict_url)

    async def close(self) -> None:
        """Lets go of the connections."""
        await self._outbound.close()

    async def report(self, suspect: Suspect) -> Told:
        """Tells of a node; the key in the header is the same however often it is told."""
        terms = self._terms
        body = json.dumps(filled(terms.body, values(suspect))).encode()
        headers = {
            "Content-Type": "application/json",
            terms.idempotency_header: suspect.key,
            **self._headers(),
        }
        url = filled_url(terms.url, values(suspect))
        text = await self._outbound.ask("POST", url, headers, body)
        try:
            return self._understood(text)
        except JsonRefused:
            return Told("", None, "")

    async def verdict(self, suspect: Suspect) -> Told:
        """Asks what has become of it."""
        wanted = values(suspect) | {REFERENCE: suspect.reference}
        url = filled_url(self._terms.verdict_url, wanted)
        text = await self._outbound.ask("GET", url, self._headers())
        try:
            return self._understood(text)
        except JsonRefused as error:
            raise RemoteUnavailable(f"{self._what}: its verdict is {error}") from None

    def _headers(self) -> dict[str, str]:
        """Read anew each time: tokens are changed in their file."""
        try:
            token = read_secret(self._terms.token_file, self._terms.token_credential, self._what)
        except ConfigError as error:
            raise RemoteUnavailable(str(error)) from None
        said = {"Authorization": f"Bearer {token.decode('latin-1')}"} if token else {}
        return {"Accept": "application/json", "User-Agent": "ajrd", **said}

    def _understood(self, text: str) -> Told:
        answer = parse(text)
        word = _text_at(answer, self._terms.verdict_field)
        reference = _text_at(answer, self._terms.reference_field)[:_LONGEST]
        return Told(reference, self._terms.states.get(word.lower()), printable(word)[:_LONGEST])


def values(suspect: Suspect) -> dict[str, str]:
    """What the templates may ask for; ``at`` is UTC."""
    return {
        "node": suspect.node,
        "kind": suspect.kind,
        "cause": suspect.cause,
        "cluster": suspect.cluster,
        "job_id": suspect.job_id,
        "attempt": str(suspect.attempt_idx),
        "user": suspect.user,
        "partition": suspect.partition,
        "at": suspect.at.astimezone(UTC).isoformat(),
        "key": suspect.key,
    }


def _text_at(answer: Any, path: str) -> str:
    """The text or number at a path like ``result.state``; "" if there is none."""
    for name in path.split("."):
        answer = answer.get(name) if isinstance(answer, dict) else None
    plain = isinstance(answer, str | int) and not isinstance(answer, bool)
    return str(answer) if plain else ""
