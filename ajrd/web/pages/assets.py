"""Style, scripts and icons: read once, served from memory, kept by browsers for good.

Their addresses hold a digest of all of them, so modules that import each other by relative names
change together. Under any other digest a file is served, too, but not to be kept.
"""

from __future__ import annotations

import hashlib
import mimetypes
from dataclasses import dataclass
from importlib.resources import files

from aiohttp import web

_FOR_GOOD = "public, max-age=31536000, immutable"
_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True)
class Assets:
    """The files by their names; ``digest`` stands for all of them."""

    digest: str
    contents: dict[str, bytes]

    @classmethod
    def load(cls) -> Assets:
        """Reads what is in the package."""
        folder = files("ajrd.web").joinpath("static")
        found = {each.name: each.read_bytes() for each in folder.iterdir() if each.is_file()}
        together = hashlib.sha256()
        for name, content in sorted(found.items()):
            together.update(name.encode() + b"\0" + content)
        return cls(together.hexdigest()[:12], found)

    async def serve(self, request: web.Request) -> web.Response:
        """``GET /static/{digest}/{name}``."""
        name = request.match_info["name"]
        content = self.contents.get(name)
        if content is None:
            raise web.HTTPNotFound
        current = request.match_info["digest"] == self.digest
        etag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
        headers = {
            "Cache-Control": _FOR_GOOD if current else "no-cache",
            "ETag": etag,
            "X-Content-Type-Options": "nosniff",
        }
        if request.headers.get("If-None-Match") == etag:
            return web.Response(status=304, headers=headers)
        return web.Response(body=content, headers=headers, content_type=_type(name), charset=None)


def _type(name: str) -> str:
    suffix = name[name.rfind(".") :]
    return _TYPES.get(suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
