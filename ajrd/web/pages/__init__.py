"""The dashboard: pages made on the server, with a little script of our own.

:func:`routes` is what the application takes. Every page is readable without scripts; they add the
live part, the tooltips, zooming by dragging, and the buttons that steer a job.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

from aiohttp import web

from ajrd.web.pages import anomalies, efficiency, job, nodes, service, workflows
from ajrd.web.pages.shell import Shell
from ajrd.web.site import Site

__all__ = ["Shell", "routes"]

_Page = Callable[[Shell, web.Request], Awaitable[web.Response]]


def routes(site: Site, shell: Shell | None = None) -> list[web.RouteDef]:
    """All pages of a site; ``shell`` is their frame where others show errors in it, too."""
    frame = shell or Shell(site)
    pages: dict[str, _Page] = {
        "/": workflows.page,
        "/jobs/{jobid}": job.page,
        "/nodes": nodes.page,
        "/anomalies": anomalies.page,
        "/efficiency": efficiency.page,
        "/service": service.page,
        "/help": _help,
        "/fragments/timeline": workflows.part,
        "/fragments/jobs/{jobid}": job.part,
        "/fragments/service": service.part,
    }
    made = [web.get(path, frame.guarded(partial(page, frame))) for path, page in pages.items()]
    return [*made, web.get("/static/{digest}/{name}", frame.assets.serve)]


async def _help(shell: Shell, request: web.Request) -> web.Response:
    return shell.answer(request, "help.html")
