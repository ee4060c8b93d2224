"""JSON in which no text of a stranger can do harm, whatever shows it."""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web
from pydantic import BaseModel

#: Escaped although JSON does not ask for it: nothing in an answer is markup, nor moves a cursor.
_HARMLESS = {ord(sign): f"\\u{ord(sign):04x}" for sign in "<>&\x7f"}


def encoded(value: Any) -> bytes:
    """Nothing but printable ASCII: neither control nor bidirectional characters, nor markup."""
    return json.dumps(value, separators=(",", ":")).translate(_HARMLESS).encode("ascii")


def json_response(
    value: BaseModel, *, status: int = 200, headers: dict[str, str] | None = None
) -> web.Response:
    """A model as an answer."""
    body = encoded(value.model_dump(mode="json", by_alias=True))
    return web.Response(status=status, headers=headers, body=body, content_type="application/json")
