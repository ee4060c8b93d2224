"""What all pages share: templates, headers, who asks, and what is shown when something fails."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from importlib.resources import files
from typing import Any

from aiohttp import web
from jinja2 import DictLoader, Environment, StrictUndefined

from ajrd.errors import StoreUnavailable
from ajrd.text import printable
from ajrd.web.identity import IDENTITY, Identity
from ajrd.web.middleware import SECURITY
from ajrd.web.pages import words
from ajrd.web.pages.assets import Assets
from ajrd.web.pages.lanes import SAID
from ajrd.web.pages.links import Links
from ajrd.web.site import Site, told_to

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

#: What the pages are written for: no other host, no script and no style in the text. The rest of
#: what protects a browser is set for all answers alike, by the application.
HEADERS = {
    "Content-Security-Policy": SECURITY["Content-Security-Policy"],
    "Cache-Control": "no-store",
}


class Shell:
    """The frame of every page of one site."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.assets = Assets.load()
        self.links = Links(site.web.base_path, self.assets)
        self._templates = _environment(self.links)

    def now(self) -> datetime:
        """The time, aware, in UTC."""
        return self.site.clock()

    def answer(
        self, request: web.Request, template: str, status: int = 200, **values: Any
    ) -> web.Response:
        """A page or a part of one."""
        trusted = _is_trusted(request)
        shared = {
            "now": self.now(),
            "who": request.get(IDENTITY),
            "trusted": trusted,
            "service": told_to(self.site.service.facts(), everybody=not trusted),
            "here": request.path.removeprefix(self.links.base),
        }
        text = self._templates.get_template(template).render(shared | values)
        return web.Response(text=text, status=status, content_type="text/html", headers=HEADERS)

    def error(self, request: web.Request, status: int, message: str = "") -> web.Response:
        """The page of an error; ``message`` is shown beside what its status means."""
        title, advice = words.ERRORS.get(status, words.ERRORS[500])
        return self.answer(
            request, "error.html", status, code=status, title=title, advice=advice, message=message
        )

    def guarded(self, handler: Handler) -> Handler:
        """Turns what may go wrong into a page that says so."""

        async def guarded(request: web.Request) -> web.StreamResponse:
            try:
                return await handler(request)
            except StoreUnavailable as error:
                return self._away(request, error)
            except (web.HTTPNotFound, web.HTTPForbidden) as error:
                return self.error(request, error.status, error.text or "")

        return guarded

    def _away(self, request: web.Request, error: StoreUnavailable) -> web.Response:
        since = self.site.database.breaker.away_since
        away = timedelta(0) if since is None else timedelta(seconds=time.monotonic() - since)
        title, advice = words.ERRORS[503]
        response = self.answer(
            request,
            "error.html",
            503,
            code=503,
            title=title,
            advice=advice,
            message=str(error) if _is_trusted(request) else "",
            since=self.now() - away,
        )
        response.headers["Retry-After"] = "5"
        return response


def _is_trusted(request: web.Request) -> bool:
    who = request.get(IDENTITY)
    return who is not None and who.operator


def owner(request: web.Request) -> str | None:
    """Whose jobs he who asks may see: None for everybody's. Nobody in particular sees none."""
    who: Identity = request[IDENTITY]
    if not (who.sees_all or who.user):
        raise web.HTTPForbidden(text="It is not known who you are.")
    return None if who.sees_all else who.user


def _environment(links: Links) -> Environment:
    """Every text that is put in is escaped, and its control and bidi characters are shown.

    All templates are read now: those of a newer package do not fit a process that runs.
    """
    folder = files("ajrd.web").joinpath("templates")
    environment = Environment(
        loader=DictLoader({each.name: each.read_text("utf-8") for each in folder.iterdir()}),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    environment.globals.update(links=links, said=_by_value(SAID))
    environment.filters.update(words.FILTERS)
    return environment


def _shown(value: object) -> object:
    """Markup of the templates stays as it is; whatever else is text may come from strangers."""
    return printable(str(value)) if isinstance(value, str) and not _is_markup(value) else value


def _is_markup(value: str) -> bool:
    return hasattr(value, "__html__")


def _by_value(said: Mapping[Any, str]) -> dict[str, str]:
    return {str(key): value for key, value in said.items()}
