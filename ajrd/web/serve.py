"""The web server of one process: a UNIX socket, a TCP address, or both, over one application."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import structlog
from aiohttp import web

from ajrd.web import api, asking, listen, metrics, openapi, pages
from ajrd.web.limits import Buckets
from ajrd.web.middleware import Door, add_headers, compact, problems, same_site
from ajrd.web.pages import Shell
from ajrd.web.peers import Doorkeeper, trusts
from ajrd.web.people import People
from ajrd.web.places import Place, is_ours, tcp_socket, unix_socket
from ajrd.web.problem import ERROR_PAGE
from ajrd.web.share import Share
from ajrd.web.site import SITE, Site
from ajrd.web.stream import Hub

log = structlog.get_logger("ajrd.web")

#: Bytes of a request's body.
_BODY = 64 * 1024
#: Seconds that a connection may be silent, and that a stop waits for answers under way.
_SILENT, _ENDING = 75.0, 2.0

#: What is no HTTP is answered so, and not written down: anybody may send it without end.
_QUIET = logging.getLogger("ajrd.web.http")
_QUIET.disabled = True

Routes = Callable[[Site], Iterable[web.RouteDef]]


def application(
    site: Site, *, extra: Iterable[Routes] = (), keeper: Doorkeeper | None = None
) -> web.Application:
    """All that is served. ``keeper`` says who asks; without one it is made for this host."""
    keeper = keeper or Doorkeeper(site.web, People())
    door = Door(keeper, Buckets(site.web.requests_per_minute))
    app = web.Application(
        middlewares=[problems, door.middleware(), same_site, Share().middleware(), compact],
        client_max_size=_BODY,
    )
    app[SITE], app[listen.HUB], app[asking.WRITING] = site, Hub(site.database), asyncio.Lock()
    app.on_response_prepare.append(add_headers)
    app.on_shutdown.append(_end_streams)
    app.cleanup_ctx.append(_polling)
    app.on_cleanup.append(keeper.end)
    table = [*api.operations(), *asking.operations(), *listen.operations()]
    app.add_routes(_everywhere([each.route() for each in table], site))
    app.add_routes(_everywhere(openapi.routes(table, site.web.base_path), site))
    shell = Shell(site)
    app[ERROR_PAGE] = shell.error
    for more in (pages.routes(site, shell), metrics.routes(site), *(each(site) for each in extra)):
        app.add_routes(_everywhere(more, site))
    if site.web.base_path:
        app.router.add_get(site.web.base_path, _begin)
    return app


async def _begin(request: web.Request) -> web.StreamResponse:
    """Whoever has left out the slash behind the base path."""
    raise web.HTTPPermanentRedirect(f"{request.app[SITE].web.base_path}/")


def _everywhere(routes: Iterable[web.RouteDef], site: Site) -> Iterable[web.RouteDef]:
    """Also below the base path: some proxies take it off, others do not."""
    base = site.web.base_path
    for route in routes:
        yield route
        if base:
            yield web.RouteDef(route.method, base + route.path, route.handler, {})


async def _end_streams(app: web.Application) -> None:
    app[listen.HUB].close()


async def _polling(app: web.Application) -> AsyncIterator[None]:
    task = asyncio.create_task(app[listen.HUB].run(), name="events")
    yield
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


@asynccontextmanager
async def serving(site: Site, app: web.Application) -> AsyncIterator[None]:
    """Serves meanwhile; raises WebUnavailable if it cannot begin.

    At the end no connection is taken any more, streams end, answers under way have a moment.
    """
    async with AsyncExitStack() as stack:
        path, address = site.web.socket, site.web.listen
        on_host = stack.enter_context(unix_socket(Path(path))) if path else None
        on_net = stack.enter_context(tcp_socket(address)) if address else None
        runner = web.AppRunner(
            app,
            access_log=None,
            logger=_QUIET,
            keepalive_timeout=_SILENT,
            shutdown_timeout=_ENDING,
            handler_cancellation=True,
        )
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        if on_host is not None:
            await Place(runner, on_host, is_ours).start()
        if on_net is not None:
            await Place(runner, on_net, lambda peer: trusts(site.web, peer.address)).start()
        log.info("web_serves", socket=path, listen=address)
        yield
